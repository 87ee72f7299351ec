import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { test } from "mocha";
import { exchange, openTunnel, serveTunnels, echoServer, type Svid } from "./hbone.ts";
import { TestAuthority } from "./tls.ts";

const id = (account: string): string => `spiffe://cluster.local/ns/shop/sa/${account}`;

async function svid(authority: TestAuthority, account: string): Promise<Svid> {
  const { certificate, key } = await authority.issue([id(account)]);
  return { chain: certificate, key, roots: authority.root };
}

test("the tunnels of the tests carry HTTP, prove both ends, and nest", async () => {
  const authority = await TestAuthority.create();
  const cart = await serveTunnels({ ip: "127.0.0.1", port: 0 }, await svid(authority, "cart"), ({ authority }) =>
    authority === "cart:80" ? echoServer("cart-1") : 404,
  );
  const at = { ip: "127.0.0.1", port: (cart.address() as AddressInfo).port };
  const web = await svid(authority, "web");
  try {
    const { stream, peer } = await openTunnel({ at, expected: [id("cart")] }, web, "cart:80");
    const words = { method: "GET", path: "/x", headers: { host: "cart" } };
    const { status, body } = await exchange(stream, words);
    assert.deepEqual([status, peer], [200, id("cart")]);
    assert.equal((JSON.parse(body) as { peer: string }).peer, id("web"));
    await assert.rejects(openTunnel({ at, expected: [id("cart")] }, web, "other:80"), /http status: 404/);
    await assert.rejects(openTunnel({ at, expected: [id("pay")] }, web, "cart:80"), /is not one of/);
  } finally {
    cart.close();
  }
});
