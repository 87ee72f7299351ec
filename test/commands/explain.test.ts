import assert from "node:assert/strict";
import { test } from "mocha";
import { explainCommand } from "../../src/commands/explain.ts";
import type { Explanation } from "../../src/explain/explanation.ts";
import { cart, cartPod } from "../registry/two-networks.ts";
import { pod } from "../registry/mesh.ts";
import { run, serve, viewedMesh } from "./served-mesh.ts";

const HOST = "cart.shop.svc.cluster.local";
const OBJECTS = [cart("10.1.0.1", {}, {}), cartPod("a", "10.0.0.1"), pod("web", "10.0.0.2")];

test("explain prints the answer first, then how it comes about, for people and for programs", async () => {
  const server = await serve(viewedMesh(OBJECTS));
  try {
    const admin = `http://127.0.0.1:${server.adminPort}`;
    const text = await run(explainCommand, HOST, "--admin", admin, "--from", "shop/web");
    assert.equal(text.code, 0, text.err);
    assert.equal(
      text.out,
      `\
cart.shop.svc.cluster.local leads to 1 endpoint in east.

name, as cluster east has it
  is        the name within this cluster of Service shop/cart
  addresses /10.1.0.1
  ports     80
  spread    all endpoints alike
  waypoint  none

clusters
  east (this cluster): 1 of 1 endpoints healthy

paths
  to east
    hop  component                            enforces
    -    pod of the caller (east)             -         needs no proxy of its own
    1    ztunnel of the caller's node (east)  -         finds the service by its address and proves to be the caller
    2    ztunnel of the pod's node (east)     L4        policies of cluster east; it sees the caller
    -    pod (east)                           -         gets plain bytes; its ztunnel knows who called

caller shop/web
  proves    nothing: it calls in plain text
  it is not in the mesh, so it calls in plain text: label its namespace istio.io/dataplane-mode: ambient; names of global services mean nothing to it
  L4 at 1 endpoint in east, port 80: allowed: no ALLOW policy binds it

what cluster east tells its peers of Service shop/cart
  nothing: not exported
  Service shop/cart of cluster east is not shared: neither it, nor Namespace shop, nor a rule of the mesh config says that it is to be.
  at   Service shop/cart of cluster east, metadata.labels[solo.io/service-scope]
  fix  kubectl --context east -n shop label service cart solo.io/service-scope=global --overwrite
`,
    );
    const json = await run(explainCommand, HOST, "--admin", admin, "-o", "json");
    const explanation = JSON.parse(json.out) as Explanation;
    assert.deepEqual([json.code, explanation.reachable, explanation.cluster], [0, 1, "east"]);
    assert.match((await run(explainCommand, HOST, "--admin", admin, "-o", "yaml")).out, /^cluster: east$/m);
  } finally {
    await server.close();
  }
});

test("explain is 1 without endpoints, 2 for what is not there, and 64 for what is no question", async () => {
  const server = await serve(viewedMesh(OBJECTS));
  try {
    const admin = `http://127.0.0.1:${server.adminPort}`;
    assert.equal((await run(explainCommand, "carts.shop", "--admin", admin)).code, 1);
    const nobody = await run(explainCommand, HOST, "--from", "shop/nobody", "--admin", admin);
    assert.deepEqual([nobody.code, /cluster east has no pod shop\/nobody/.test(nobody.err)], [2, true]);
    for (const words of [["cart"], [HOST, "--from", "web"]]) {
      const wrong = await run(explainCommand, ...words, "--admin", admin);
      assert.deepEqual([wrong.code, wrong.out], [64, ""], wrong.err);
    }
    const closed = await run(explainCommand, HOST, "--admin", admin, "--peer-admin", "http://127.0.0.1:1");
    assert.equal(closed.code, 0);
    assert.match(closed.out, /the other ends\n {2}http:\/\/127\.0\.0\.1:1: /);
  } finally {
    await server.close();
  }
});
