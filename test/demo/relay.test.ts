import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { afterEach, test } from "mocha";
import { Relay } from "../../src/demo/relay.ts";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function echoServer(): Promise<Server> {
  const server = createServer((socket) => socket.pipe(socket));
  open.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

test("a relay passes bytes on untouched, both ways, and takes either end with the other", async () => {
  const server = await echoServer();
  const relay = new Relay("127.0.0.1", () => (server.address() as AddressInfo).port);
  open.push(relay);
  const client = connect({ host: "127.0.0.1", port: await relay.listen(0) });
  client.write("\x16\x03\x01");
  const [bytes] = (await once(client, "data")) as [Buffer];
  assert.deepEqual([...bytes], [0x16, 3, 1]);
  client.end();
  await once(client, "close");
});

test("a relay to a control plane that is stopped closes what it accepts, and is there when that one returns", async () => {
  const server = await echoServer();
  let target: number | undefined;
  const relay = new Relay("127.0.0.1", () => target);
  open.push(relay);
  const port = await relay.listen(0);
  const refused = connect({ host: "127.0.0.1", port });
  refused.on("error", () => {});
  await once(refused, "close");
  target = (server.address() as AddressInfo).port;
  const client = connect({ host: "127.0.0.1", port });
  client.write("x");
  assert.equal(String((await once(client, "data"))[0]), "x");
  client.destroy();
});

test("a port that is taken is named, with the flag that moves it", async () => {
  const server = await echoServer();
  const { port } = server.address() as AddressInfo;
  await assert.rejects(
    new Relay("127.0.0.1", () => undefined).listen(port),
    new RegExp(
      `the relay, whose ports move with --xds-port, cannot listen on 127\\.0\\.0\\.1:${port}: another program`,
    ),
  );
});

test("the door of a relay takes connections until it is closed, and has the same port when it opens again", async () => {
  const relay = new Relay("127.0.0.1", () => undefined);
  open.push(relay);
  const port = await relay.openDoor(0);
  const client = connect({ host: "127.0.0.1", port });
  await once(client, "connect");
  await relay.closeDoor();
  await once(client, "close");
  await assert.rejects(once(connect({ host: "127.0.0.1", port }), "connect"), /ECONNREFUSED/);
  assert.equal(await relay.openDoor(0), port);
});
