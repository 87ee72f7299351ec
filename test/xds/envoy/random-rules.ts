import {
  ANY_REQUEST,
  type HeaderChanges,
  type HttpAction,
  type HttpMatch,
  type HttpRule,
  NO_CHANGES,
} from "../../../src/registry/model/http-rule.ts";
import type { BackendName } from "../../../src/registry/model/proxy-backend.ts";
import type { SeededRandom } from "../../sim/world.ts";

/** Rules of all kinds, as HTTPRoutes and GRPCRoutes make them; the last takes whatever is left. */
export function randomRules(random: SeededRandom, backends: readonly BackendName[]): readonly HttpRule[] {
  const rules = Array.from({ length: random.below(4) }, (_, at) => randomRule(random, backends, at));
  const rest = { ...plainRule("default"), action: forward(random, backends) };
  return random.chance(0.8) ? [...rules, rest] : rules;
}

const plainRule = (name: string): Omit<HttpRule, "action"> => ({
  name,
  match: ANY_REQUEST,
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
  mirrors: [],
  timeoutMs: undefined,
  retry: undefined,
});

function randomRule(random: SeededRandom, backends: readonly BackendName[], at: number): HttpRule {
  return {
    name: `HTTPRoute shop/route-${at} rule 0 match ${at}`,
    match: randomMatch(random),
    action: randomAction(random, backends),
    requestHeaders: randomChanges(random),
    responseHeaders: randomChanges(random),
    mirrors: random.chance(0.2) ? [{ backend: random.pick(backends), perMillion: random.pick([1, 5_000, 1e6]) }] : [],
    timeoutMs: random.pick([undefined, undefined, 0, 1_500, 30_000]),
    retry: random.chance(0.3)
      ? {
          attempts: 1 + random.below(5),
          codes: random.pick([[], [503], [500, 502, 504]]),
          perTryTimeoutMs: random.pick([undefined, 250]),
          backoffMs: random.pick([undefined, 25, 1_000]),
        }
      : undefined,
  };
}

function randomMatch(random: SeededRandom): HttpMatch {
  const named = (name: string) =>
    random.pick([
      { name, kind: "exact" as const, value: "canary" },
      { name, kind: "regex" as const, value: "v[0-9]+(-beta)?" },
    ]);
  return {
    path: random.pick([
      undefined,
      { kind: "exact", value: "/cart/total" },
      { kind: "prefix", value: "/cart" },
      { kind: "prefix", value: "/" },
      { kind: "regex", value: "/item/[a-z0-9]{1,32}" },
    ]),
    method: random.pick([undefined, undefined, "GET", "DELETE"]),
    headers: random.chance(0.4) ? [named("x-version")] : [],
    queryParams: random.chance(0.2) ? [named("flavour")] : [],
  };
}

function randomAction(random: SeededRandom, backends: readonly BackendName[]): HttpAction {
  if (random.chance(0.1)) return { kind: "refuse", status: 500, why: "HTTPRoute shop/route: no Service shop/gone" };
  if (random.chance(0.15))
    return {
      kind: "redirect",
      redirect: {
        scheme: random.pick([undefined, "https"]),
        hostname: random.pick([undefined, "new.example.com"]),
        port: random.pick([undefined, 8443]),
        path: random.pick([undefined, { kind: "full", value: "/moved" }]),
        status: random.pick([301, 302, 303, 307, 308]),
      },
    };
  return forward(random, backends);
}

function forward(random: SeededRandom, backends: readonly BackendName[]): HttpAction {
  const more = Array.from({ length: random.below(3) }, () => random.pick([...backends, "refused" as const]));
  const chosen = [...new Set([random.pick(backends), ...more])];
  return {
    kind: "forward",
    backends: chosen.map((backend, at) => ({
      backend,
      weight: at === 0 ? 1 + random.below(100) : random.below(50),
      requestHeaders: randomChanges(random),
      responseHeaders: NO_CHANGES,
    })),
    rewrite: random.chance(0.2)
      ? { hostname: random.pick([undefined, "inner.example.com"]), path: { kind: "full", value: "/rewritten" } }
      : undefined,
  };
}

const randomChanges = (random: SeededRandom): HeaderChanges =>
  random.chance(0.7)
    ? NO_CHANGES
    : { set: [["x-set", `v${random.below(3)}`]], add: [["x-add", "a b"]], remove: ["x-remove"] };
