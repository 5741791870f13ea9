// Node's clients as senders. Each line of input says what to send and with which client, each line
// of output what was read.
import { Agent } from "node:http";
import { createInterface } from "node:readline";

import AxiosDigest from "@mhoc/axios-digest-auth";
import axios from "axios";
import { DigestClient } from "digest-fetch";
import needle from "needle";
import request from "request";
import { HttpClient } from "urllib";

const TIMEOUT = 120_000; // milliseconds

// What is the same for all: fetch and urllib take no agent, and are told to close instead.
const closing = (sent) => (sent.fresh ? { ...sent.headers, Connection: "close" } : sent.headers);
const plain = (sent) => ({
  method: sent.method,
  headers: closing(sent),
  body: sent.body || undefined,
});
const basic = ({ username, password }) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

// Each client, told what to send, gives a function that sends it once and resolves to what it read.
const clients = {
  fetch(sent) {
    const options = plain(sent);
    if (sent.scheme === "basic")
      options.headers = { ...options.headers, Authorization: basic(sent) };
    return async () => (await fetch(sent.url, options)).text();
  },

  "digest-fetch"(sent) {
    const client = new DigestClient(sent.username, sent.password, {
      basic: sent.scheme === "basic",
    });
    return async () => {
      const { headers, ...options } = plain(sent);
      return (await client.fetch(sent.url, { ...options, headers: { ...headers } })).text();
    };
  },

  urllib(sent) {
    const client = new HttpClient();
    const login = { basic: "auth", digest: "digestAuth" }[sent.scheme];
    const options = {
      method: sent.method,
      headers: closing(sent),
      content: sent.body || undefined,
      dataType: "text",
      timeout: TIMEOUT,
      ...(login && { [login]: `${sent.username}:${sent.password}` }),
    };
    return async () => (await client.request(sent.url, options)).data;
  },

  axios(sent, agent) {
    const client = axios.create({ httpAgent: agent, proxy: false, timeout: TIMEOUT });
    const options = {
      url: sent.url,
      method: sent.method,
      headers: { ...sent.headers },
      data: sent.body || undefined,
      transformResponse: (text) => text,
    };
    const { username, password } = sent;
    if (sent.scheme === "basic") options.auth = { username, password };
    const asker =
      sent.scheme === "digest"
        ? new AxiosDigest.default({ axios: client, username, password })
        : client;
    return async () => {
      try {
        return (await asker.request(options)).data;
      } catch (error) {
        if (!error.response) throw error;
        return error.response.data;
      }
    };
  },

  request(sent, agent) {
    const options = {
      url: sent.url,
      method: sent.method,
      headers: sent.headers,
      body: sent.body || undefined,
      agent,
      timeout: TIMEOUT,
    };
    if (["basic", "digest"].includes(sent.scheme))
      options.auth = {
        user: sent.username,
        pass: sent.password,
        sendImmediately: sent.scheme === "basic",
      };
    return () =>
      new Promise((resolve, reject) =>
        request(options, (error, _, body) => (error ? reject(error) : resolve(body))),
      );
  },

  needle(sent, agent) {
    const options = { agent, headers: sent.headers, parse_response: false, timeout: TIMEOUT };
    if (["basic", "digest"].includes(sent.scheme))
      Object.assign(options, {
        auth: sent.scheme,
        username: sent.username,
        password: sent.password,
      });
    return async () =>
      (await needle(sent.method, sent.url, sent.body || null, options)).body.toString();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const sent = JSON.parse(line);
  const agent = new Agent({ keepAlive: !sent.fresh });
  const send = clients[sent.client](sent, agent);
  let read = "";
  for (let n = 0; n < sent.times; n++) read += await send();
  agent.destroy();
  console.log(JSON.stringify(read));
}
