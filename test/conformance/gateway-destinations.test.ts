import assert from "node:assert/strict";
import { suite, test } from "mocha";
import type { RequestPolicy } from "../../src/registry/model/proxy-policies.ts";
import { httpChain } from "../../src/xds/envoy/http-chain.ts";
import { routeConfiguration } from "../../src/xds/envoy/http-routes.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { rawRequest } from "./raw-request.ts";
import { StaticEnvoy, withRoutes } from "./static-envoy.ts";
import { listenerFor, policies, port, rule, service } from "./waypoint-kit.ts";

suite("addresses that were called, in policies on stock Envoy", () => {
  test("a caller whose tunnel names a host escapes no policy on addresses", async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") return this.skip();
    const http = port({ rules: [rule({ action: { kind: "refuse", status: 404, why: "passed" } })] });
    const within = [{ ip: "127.0.0.0", prefixLength: 8 }];
    const elsewhere = [{ ip: "10.0.0.0", prefixLength: 8 }];
    const cases = [
      ["deny", { values: within, notValues: [] }, 403, 403],
      ["deny", { values: elsewhere, notValues: [] }, 404, 403],
      ["allow", { values: within, notValues: [] }, 404, 403],
      ["allow", { values: [], notValues: elsewhere }, 404, 403],
    ] as const;
    const listeners = cases.flatMap(([action, match], at) => {
      const rules = [{ from: [], to: [], when: [{ on: "destinationIp" as const, match }] }];
      const policy: RequestPolicy = { name: "shop/guard", action, dryRun: false, rules };
      const guarded = policies([policy]);
      const filters = withRoutes(
        httpChain(service(http), http, guarded),
        routeConfiguration(service(http), http, guarded),
      );
      const principal = "spiffe://td/ns/a/sa/b";
      // What is no address is not kept, as of a tunnel that names a host.
      return [listenerFor(`ip-${at}`, principal, filters), listenerFor(`host-${at}`, principal, filters, "cart:80")];
    });
    await using envoy = await StaticEnvoy.start(binary, { listeners, clusters: [] });
    for (const [at, [, , byAddress, byHost]] of cases.entries())
      for (const [listener, status] of [
        [`ip-${at}`, byAddress],
        [`host-${at}`, byHost],
      ] as const) {
        const answer = await rawRequest({ port: await envoy.portOf(listener), method: "GET", path: "/", host: "cart" });
        assert.equal(answer.status, status, listener);
      }
  });
});
