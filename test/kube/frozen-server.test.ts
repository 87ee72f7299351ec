import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "mocha";
import type { ApiError } from "../../src/kube/api.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import { answerJson, kubeServer } from "../kits/kube-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const authority = await TestAuthority.create();

/** Passes bytes on to `url` until it is told not to, and to say nothing about it. */
async function blackHole(url: string) {
  const sockets: Socket[] = [];
  const to = Number(new URL(url).port);
  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    sockets.push(near, far);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => into.write(bytes));
      from.on("error", () => {});
      from.on("close", () => into.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    freeze: (which: "both ways" | "to the server") => {
      // The near and the far end of each connection, in turns.
      for (const [at, socket] of sockets.entries()) if (which === "both ways" || at % 2 === 0) socket.pause();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test("a server that falls silent is found within 35 s, and a silent watch of a living one is left alone", async () => {
  const host = new TestHost();
  await using server = await kubeServer(authority, ({ url }, response) => {
    if (url === "/version") answerJson(response, 200, {});
    else response.write("\n");
  });
  const hole = await blackHole(server.url);
  const api = new HttpKubeApi(host, server.connection({ server: hole.url }));
  const ends: (ApiError | undefined)[] = [];
  let open = false;
  api.watch("/api/v1/pods?watch=true", {
    onOpen: () => (open = true),
    onEvent: () => assert.fail("there is no event"),
    onEnd: (error) => ends.push(error),
  });
  await until(() => open);
  let pings = 0;
  server.sessions[0]!.on("ping", () => (pings += 1));
  for (let round = 1; round <= 30; round += 1) {
    host.clock.advance(20_000);
    // Answers come in the order of questions: once this one is here, that to the ping is.
    await until(() => pings === round);
    await api.call({ method: "GET", path: "/version" });
  }
  assert.equal(ends.length, 0);
  hole.freeze("both ways");
  host.clock.advance(34_999);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ends.length, 0);
  host.clock.advance(1);
  await until(() => ends.length > 0);
  assert.match(ends[0]!.message, /it did not answer a ping for 15 s/);
  assert.equal(ends[0]!.code, "unavailable");
  await api.close();
  hole.close();
  assert.equal(host.clock.pending, 0);
});

test("bytes that come are a sign of life, though no answer to a ping does", async () => {
  const host = new TestHost();
  let more = (): void => {};
  await using server = await kubeServer(authority, (_, response) => {
    more = () => void response.write('{"type":"ADDED","object":1}\n');
    more();
  });
  const hole = await blackHole(server.url);
  const api = new HttpKubeApi(host, server.connection({ server: hole.url }));
  const [events, ends]: [unknown[], unknown[]] = [[], []];
  api.watch("/watch", { onOpen() {}, onEvent: (event) => events.push(event), onEnd: (end) => ends.push(end) });
  await until(() => events.length === 1);
  server.sessions[0]!.on("ping", () => assert.fail("the ping arrived"));
  hole.freeze("to the server");
  host.clock.advance(20_000);
  for (let round = 2; round <= 5; round += 1) {
    more();
    await until(() => events.length === round);
    host.clock.advance(15_000);
  }
  assert.equal(ends.length, 0);
  host.clock.advance(15_000);
  await until(() => ends.length === 1);
  await api.close();
  hole.close();
});

test("a server that takes a connection and then says nothing is given up after 4 s", async () => {
  const host = new TestHost();
  const server = createServer();
  let accepted: Socket | undefined;
  server.on("connection", (socket) => (accepted = socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const api = new HttpKubeApi(host, {
    server: url,
    ca: { text: authority.root },
    insecureSkipTlsVerify: false,
    tlsServerName: undefined,
    user: {},
    refusedAddresses: [],
  });
  const failed = assert.rejects(api.call({ method: "GET", path: "/" }), /no connection in 4 s; is the address right/);
  await until(() => accepted !== undefined);
  host.clock.advance(4_000);
  await failed;
  await api.close();
  accepted!.destroy();
  server.close();
  assert.equal(host.clock.pending, 0);
});
