<?php
// PHP's curl as a sender. Each line of input says what to send, each line of output what was read.

declare(strict_types=1);

const SCHEMES = ['basic' => CURLAUTH_BASIC, 'digest' => CURLAUTH_DIGEST];

while (($line = fgets(STDIN)) !== false) {
    $sent = json_decode($line, flags: JSON_THROW_ON_ERROR);
    $headers = [];
    foreach ($sent->headers as $name => $value) {
        $headers[] = "$name: $value";
    }
    $handle = curl_init($sent->url);
    curl_setopt_array($handle, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 120,
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_FRESH_CONNECT => $sent->fresh,
    ]);
    if (isset(SCHEMES[$sent->scheme])) {
        curl_setopt($handle, CURLOPT_HTTPAUTH, SCHEMES[$sent->scheme]);
        curl_setopt($handle, CURLOPT_USERNAME, $sent->username);
        curl_setopt($handle, CURLOPT_PASSWORD, $sent->password);
    }
    if ($sent->body !== '') {
        curl_setopt($handle, CURLOPT_POSTFIELDS, $sent->body);
    }
    $read = '';
    for ($n = 0; $n < $sent->times; $n++) {
        $answer = curl_exec($handle);
        if ($answer === false) {
            throw new RuntimeException(curl_error($handle));
        }
        $read .= $answer;
    }
    echo json_encode($read, JSON_THROW_ON_ERROR), "\n";
}
