# LWP as a sender. Each line of input says what to send, each line of output what was read.
use strict;
use warnings;

package Login;
use parent 'LWP::UserAgent';

sub get_basic_credentials { @{ $_[0]{login} } }    # LWP asks this for digest, too

package main;
use HTTP::Request;
use JSON::PP;

$| = 1;
my $json = JSON::PP->new->canonical->allow_nonref;
while (my $line = <STDIN>) {
    my $sent  = $json->decode($line);
    my $agent = Login->new(timeout => 120, keep_alive => $sent->{fresh} ? 0 : 1);
    my $login = $sent->{scheme} =~ /^(basic|digest)$/;
    $agent->{login} = $login ? [ @$sent{qw(username password)} ] : [];
    my $read = '';
    for (1 .. $sent->{times}) {
        my @headers = %{ $sent->{headers} };
        my $answer
            = $agent->request(HTTP::Request->new($sent->{method}, $sent->{url}, \@headers, $sent->{body}));
        die $answer->as_string if $answer->code == 500;    # LWP's own failures look like that
        $read .= $answer->content;
    }
    print $json->encode($read), "\n";
}
