import assert from "node:assert/strict";
import type { lookup } from "node:dns";
import { test } from "mocha";
import { guardedLookup, innerKindOf, kindOfHost } from "../src/address-kind.ts";
import { HttpKubeApi } from "../src/kube/http-api.ts";
import { answerJson, kubeServer } from "./kits/kube-server.ts";
import { realHost } from "./kits/real-host.ts";
import { TestAuthority } from "./kits/tls.ts";

const KINDS: readonly (readonly [string, string | undefined])[] = [
  ["10.0.0.1", undefined],
  ["kube.example", undefined],
  ["[fd00::1]", undefined],
  ["[64:ff9b::a00:1]", undefined],
  ["localhost.example", undefined],
  ["127.255.0.1", "loopback"],
  ["0.0.0.0", "loopback"],
  ["[::1]", "loopback"],
  ["[::ffff:7f00:1]", "loopback"],
  ["a.localhost", "loopback"],
  ["169.254.0.1", "linkLocal"],
  ["100.100.100.200", "linkLocal"],
  ["[febf::1]", "linkLocal"],
  ["[64:ff9b::a9fe:a9fe]", "linkLocal"],
  ["metadata.google.internal.", "linkLocal"],
];
test("hosts that only this machine can mean are known in every spelling", () => {
  for (const [host, kind] of KINDS) assert.equal(kindOfHost(host), kind, host);
});

test("addresses that are not the internet's are known in every spelling", () => {
  const inner = ["10.0.0.1", "172.31.255.255", "192.168.0.1", "100.127.0.1", "198.19.0.1", "[fd00::1]", "fc00::1"];
  const nobodys = ["224.0.0.1", "255.255.255.255", "[ff02::1]", "fec0::1", "192.0.0.8"];
  const spelt = ["::ffff:10.0.0.1", "64:ff9b::a00:1"];
  for (const address of [...inner, ...nobodys, ...spelt]) assert.equal(innerKindOf(address), "private", address);
  for (const address of ["172.32.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "a.example"])
    assert.equal(innerKindOf(address), undefined, address);
  assert.deepEqual(["127.0.0.1", "[::1]", "100.100.100.200"].map(innerKindOf), ["loopback", "loopback", "linkLocal"]);
});

/** A resolver that knows one name, with these addresses. */
const resolving = (...addresses: string[]): typeof lookup =>
  ((_: string, __: object, callback: (error: null, found: object[]) => void) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    )) as unknown as typeof lookup;

function lookedUp(all: boolean, ...addresses: string[]): Promise<unknown[]> {
  const guarded = guardedLookup(["linkLocal"], resolving(...addresses));
  return new Promise((resolve) => guarded("kube.example", { all }, (...found: unknown[]) => resolve(found)));
}

test("a name that resolves to what is refused is refused, though others of its addresses are not", async () => {
  const [error] = await lookedUp(true, "10.0.0.1", "169.254.169.254");
  assert.match(String(error), /kube\.example resolves to 169\.254\.169\.254, a link-local or metadata address/);
});

test("a name that resolves elsewhere is resolved as it was asked for", async () => {
  const both = [
    { address: "10.0.0.1", family: 4 },
    { address: "fd00::1", family: 6 },
  ];
  assert.deepEqual(await lookedUp(true, "10.0.0.1", "fd00::1"), [null, both]);
  assert.deepEqual(await lookedUp(false, "10.0.0.1", "fd00::1"), [null, "10.0.0.1", 4]);
  assert.match(String((await lookedUp(false))[0]), /kube\.example has no address/);
});

test("a server whose name leads where it may not is never connected to", async () => {
  const authority = await TestAuthority.create();
  for (const protocol of ["h2", "http"] as const) {
    await using server = await kubeServer(authority, (_, response) => answerJson(response, 200, {}), { protocol });
    const named = { server: server.url.replace("127.0.0.1", "localhost") };
    const open = new HttpKubeApi(realHost(), server.connection(named));
    assert.deepEqual(await open.call({ method: "GET", path: "/api" }), {});
    await open.close();
    const sockets = server.sockets.length;
    const api = new HttpKubeApi(realHost(), server.connection({ ...named, refusedAddresses: ["loopback"] }));
    await assert.rejects(api.call({ method: "GET", path: "/api" }), /localhost resolves to .*, this machine itself/);
    await api.close();
    assert.equal(server.sockets.length, sockets);
  }
});
