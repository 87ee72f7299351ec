import assert from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { httpChain } from "../../src/xds/envoy/http-chain.ts";
import { routeConfiguration } from "../../src/xds/envoy/http-routes.ts";
import { proxiedMesh } from "../registry/gateways/proxied.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { rawRequest } from "./raw-request.ts";
import { StaticEnvoy, withRoutes } from "./static-envoy.ts";
import { listenerFor, port, service } from "./waypoint-kit.ts";
import { ISSUER, RULES, scenarios } from "./written-policies.ts";

/** Who calls. */
const WEB = "spiffe://cluster.local/ns/shop/sa/web";

suite("AuthorizationPolicies and RequestAuthentications as they are written, on stock Envoy", () => {
  let envoy: StaticEnvoy;
  let sign: (claims: object, forged: boolean) => Promise<string>;
  let ms = 0;
  const written = new Map<string, readonly KubeObject[]>();

  suiteSetup(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-written-policies: skipped; ${binary.missing}`);
      return this.skip();
    }
    const [own, other] = [await generateKeyPair("ES256", { extractable: true }), await generateKeyPair("ES256")];
    sign = (claims, forged) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: "ES256" })
        .setIssuer(ISSUER)
        .setSubject("ann")
        .setAudience("shop")
        .setExpirationTime("1h")
        .sign((forged ? other : own).privateKey);
    const jwks = JSON.stringify({ keys: [await exportJWK(own.publicKey)] });
    for (const [what, objects] of scenarios.map(([what, objects]) => [what, objects(jwks)] as const))
      written.set(what, objects);
    const listeners = Array.from(written, ([what, objects]) => listenerFor(what, WEB, filtersFor(objects)));
    const begun = performance.now();
    envoy = await StaticEnvoy.start(binary, { listeners, clusters: [] });
    ms = performance.now() - begun;
  });
  suiteTeardown(async () => envoy?.[Symbol.asyncDispose]());

  for (const [what, , answers] of scenarios)
    test(what, async () => {
      const port = await envoy.portOf(what);
      for (const [status, { method = "GET", path = "/", host = "cart.shop", headers = {}, ...said }] of answers) {
        const bearer = said.token && `Bearer ${await sign(said.token, said.forged === true)}`;
        const all = Object.entries({ ...headers, ...(bearer !== undefined && { authorization: bearer }) });
        const answer = await rawRequest({ port, method, path, host, headers: all });
        assert.equal(answer.status, status, `${method} ${path} of ${host}: ${answer.body}`);
      }
    });

  test("Envoy is up with all of them, and soon", () => {
    console.log(`      up after ${Math.round(ms)} ms, ${RULES} rules among them`);
    assert.ok(ms < 30_000);
  });
});

/** The chain of cart's port 80 as these objects have it; what comes through is answered with 200. */
function filtersFor(objects: readonly KubeObject[]) {
  const policies = proxiedMesh(objects).policiesAt();
  const http = port();
  const cart = service(http);
  const [host] = routeConfiguration(cart, http, policies).virtualHosts!;
  const routes = [{ match: { prefix: "/" }, directResponse: { status: 200 } }];
  return withRoutes(httpChain(cart, http, policies), { virtualHosts: [{ ...host, routes }] });
}
