import assert from "node:assert/strict";
import fc from "fast-check";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import type { ProxyPolicies, RequestPolicy } from "../../src/registry/model/proxy-policies.ts";
import { authorizationPerRoute } from "../../src/xds/envoy/authorization-filters.ts";
import { httpChain } from "../../src/xds/envoy/http-chain.ts";
import { routeConfiguration } from "../../src/xds/envoy/http-routes.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { policyMatches, type SeenRequest } from "./policy-oracle.ts";
import { PRINCIPALS, type SampleRequest, somePolicies, someRequest } from "./policy-samples.ts";
import { rawRequest } from "./raw-request.ts";
import { StaticEnvoy, withRoutes } from "./static-envoy.ts";
import { TokenMint } from "./token-mint.ts";
import { until } from "./ztunnel-lab.ts";
import { listenerFor, policies, port, service } from "./waypoint-kit.ts";

/** Another one is another few thousand questions: `SEED=7 npm run conformance -- gateway-policies`. */
const seed = Number(process.env["SEED"] ?? 20261121);
const CASES = 300;
const REQUESTS_EACH = 20;
/** At once, as each is a connection of its own. */
const LANES = 16;

suite(`policies at a waypoint, on stock Envoy (SEED=${seed})`, () => {
  const cases = fc.sample(somePolicies, { seed, numRuns: CASES });
  let mint: TokenMint;
  let envoy: StaticEnvoy;
  const ports = new Map<string, number>();

  suiteSetup(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-policies: skipped; ${binary.missing}`);
      return this.skip();
    }
    mint = await TokenMint.open();
    const listeners = PRINCIPALS.map((principal) => listenerFor(principal, `spiffe://${principal}`, filters()));
    envoy = await StaticEnvoy.start(binary, { listeners, clusters: [] });
    for (const principal of PRINCIPALS) ports.set(principal, await envoy.portOf(principal));
  });
  suiteTeardown(async () => envoy?.[Symbol.asyncDispose]());

  /** One route for each case, which a header chooses, so that one Envoy answers for all of them. */
  function filters() {
    const http = port();
    const cart = service(http);
    const [host] = routeConfiguration(cart, http, undefined).virtualHosts!;
    const routes = cases.map((authorization, index) => ({
      match: { prefix: "/", headers: [{ name: "x-case", stringMatch: { exact: String(index) } }] },
      directResponse: { status: 200, body: { inlineString: "%PATH%" } },
      responseHeadersToAdd: [{ header: { key: "x-path", value: "%REQUEST_HEADER(:PATH)%" } }],
      typedPerFilterConfig: authorizationPerRoute(policies(authorization), 80),
    }));
    const tokens: ProxyPolicies = policies([], [mint.policy]);
    return withRoutes(httpChain(cart, http, tokens), { virtualHosts: [{ ...host, routes }] });
  }

  test("each of thousands of requests is answered as the words of its policies say", async () => {
    const requests = fc.sample(someRequest, { seed, numRuns: CASES * REQUESTS_EACH });
    const wrong: string[] = [];
    const count = { 200: 0, 401: 0, 403: 0 };
    const lane = async (first: number) => {
      for (let index = first; index < requests.length; index += LANES) {
        const request = requests[index]!;
        const which = index % CASES;
        const answer = await ask(request, which, index);
        const expected = verdictOn(cases[which]!, request);
        count[expected.status] += 1;
        const path = /^x-path: ([^?\r]*)/m.exec(answer.head)?.[1] ?? request.path[1];
        if (answer.status !== expected.status || path !== request.path[1])
          wrong.push(told(`got ${answer.status} ${path}`, { expected, request, policies: cases[which] }));
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)));
    assert.deepEqual(wrong.slice(0, 1), [], `${wrong.length} of ${requests.length}`);
    // None of the answers is rare, so none is the answer to everything.
    for (const [status, times] of Object.entries(count)) assert.ok(times > requests.length / 20, `${status}: ${times}`);

    await until("all of them are in the log", () => envoy.log.length >= requests.length);
    const misread = envoy.log.flatMap((line) => {
      const index = Number(line["request_id"]);
      const [request, policies] = [requests[index]!, cases[index % CASES]!];
      const { status, named, dryRun } = verdictOn(policies, request);
      const details = String(line["response_code_details"]);
      const [, name] = /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(details) ?? [];
      const isRight =
        line["source_principal"] === `spiffe://${request.principal}` &&
        String(line["source_address"]).startsWith(`${request.sourceIp}:`) &&
        (named === undefined ? name === undefined : named.includes(name?.replace(/\[[0-9]+\]$/, "") ?? "")) &&
        (status === 401 || dryRun.deny === undefined || (line["dry_run_deny"] === "denied") === dryRun.deny) &&
        (status !== 200 || dryRun.allow === undefined || (line["dry_run_allow"] === "allowed") === dryRun.allow);
      return isRight ? [] : [told(details, { named, dryRun, line, request, policies })];
    });
    assert.deepEqual(misread.slice(0, 1), [], `${misread.length} of ${requests.length}`);
  });

  async function ask(request: SampleRequest, which: number, index: number) {
    return rawRequest({
      port: ports.get(request.principal)!,
      from: request.sourceIp,
      method: request.method,
      path: request.path[0],
      host: request.host,
      headers: [
        ["x-case", String(which)],
        ["x-request-id", String(index)],
        // What callers say of themselves is nothing to policies.
        ["x-forwarded-for", "10.9.9.9"],
        ["x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/cart"],
        ...request.roles.map((role) => ["x-role", role] as const),
        ...(await mint.headers(request.token)),
      ],
    });
  }
});

const told = (what: string, detail: object): string => `${what}: ${JSON.stringify(detail)}`.slice(0, 4_000);

interface Verdict {
  readonly status: 200 | 401 | 403;
  /** The policies that a denial may name. */
  readonly named: readonly string[] | undefined;
  /** What policies in dry-run would have said, if there are any. */
  readonly dryRun: { readonly deny: boolean | undefined; readonly allow: boolean | undefined };
}

function verdictOn(authorization: readonly RequestPolicy[], request: SampleRequest): Verdict {
  const seen = seenOf(request);
  const of = (action: string, dryRun: boolean) =>
    authorization.filter((policy) => policy.action === action && policy.dryRun === dryRun);
  const matching = (policies: readonly RequestPolicy[]) => policies.filter((policy) => policyMatches(policy, seen));
  const [tried, triedAllow] = [of("deny", true), of("allow", true)];
  const dryRun = {
    deny: tried.length === 0 ? undefined : matching(tried).length > 0,
    allow: triedAllow.length === 0 ? undefined : matching([...triedAllow, ...of("allow", false)]).length > 0,
  };
  const { kind } = request.token;
  // Envoy tells callers whose token is good, but for somebody else, that they may not.
  if (kind !== "none" && kind !== "good")
    return { status: kind === "wrong-audience" ? 403 : 401, named: undefined, dryRun: { ...dryRun, deny: undefined } };
  const guarded =
    /%(2f|5c)/i.test(request.path[1]) && JSON.stringify([of("deny", false), of("allow", false)]).includes('"paths"');
  const denying = matching(of("deny", false)).map(({ name }) => name);
  if (guarded) denying.push("escaped-slash-in-path");
  if (denying.length > 0) return { status: 403, named: denying, dryRun };
  const allowing = of("allow", false);
  const isAllowed = allowing.length === 0 || matching(allowing).length > 0;
  return isAllowed ? { status: 200, named: undefined, dryRun } : { status: 403, named: ["none"], dryRun };
}

function seenOf({ principal, sourceIp, method, host, path, roles, token }: SampleRequest): SeenRequest {
  const { kind, issuer, subject, claims } = token;
  return {
    principal,
    sourceIp,
    destinationIp: "127.0.0.1",
    port: 80,
    http: {
      method,
      host,
      path: path[1],
      headers: new Map([["x-role", roles]]),
      claims: kind === "none" ? undefined : { ...claims, iss: issuer, sub: subject, aud: "shop" },
    },
  };
}
