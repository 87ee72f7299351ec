import assert from "node:assert/strict";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import { httpChain } from "../../src/xds/envoy/http-chain.ts";
import { routeConfiguration } from "../../src/xds/envoy/http-routes.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { rawRequest } from "./raw-request.ts";
import { StaticEnvoy, withRoutes } from "./static-envoy.ts";
import { listenerFor, port, rule, service } from "./waypoint-kit.ts";

suite("the HTTP of a waypoint, on stock Envoy", () => {
  let envoy: StaticEnvoy;

  suiteSetup(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-http: skipped; ${binary.missing}`);
      return this.skip();
    }
    const http = port({ rules: [rule({ action: { kind: "refuse", status: 503, why: "nobody" } })] });
    const cart = service(http);
    const routes = routeConfiguration(cart, http, undefined);
    const filters = withRoutes(httpChain(cart, http, undefined), routes);
    envoy = await StaticEnvoy.start(binary, {
      listeners: [listenerFor("in", "spiffe://td/ns/a/sa/b", filters)],
      clusters: [],
    });
  });
  suiteTeardown(async () => envoy?.[Symbol.asyncDispose]());

  test("a rule with nothing behind it says so to the caller", async () => {
    const answer = await rawRequest({ port: await envoy.portOf("in"), method: "GET", path: "/", host: "cart" });
    assert.deepEqual([answer.status, answer.body], [503, "nobody\n"], answer.head);
  });
});
