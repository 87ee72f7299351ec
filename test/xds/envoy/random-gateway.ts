import fc from "fast-check";
import { hostname, type ObjectKey, type ServiceName, serviceName } from "../../../src/names.ts";
import type { Graph } from "../../../src/registry/collection/graph.ts";
import { Source } from "../../../src/registry/collection/source.ts";
import type { EastWestRoute } from "../../../src/registry/model/east-west-route.ts";
import {
  type BackendName,
  backendName,
  type BackendSettings,
  type ProxyBackend,
  type ProxyEndpoint,
  type ProxyEndpoints,
} from "../../../src/registry/model/proxy-backend.ts";
import type { ProxyGateway } from "../../../src/registry/model/proxy-gateway.ts";
import type { ProxyPolicies, TokenPolicy } from "../../../src/registry/model/proxy-policies.ts";
import { proxyKey, type ProxyPort, type ProxyService } from "../../../src/registry/model/proxy-service.ts";
import { somePolicies } from "../../conformance/policy-samples.ts";
import type { SeededRandom } from "../../sim/world.ts";
import { WAYPOINT } from "./proxy-lab.ts";
import { randomRules } from "./random-rules.ts";
import { doubleTunnel, plain, SETTINGS, spiffe, tunnel } from "./samples.ts";

const PORTS = [80, 8080, 9090] as const;
const NAMES = ["cart", "web", "pay", "stock", "mail", "search"] as const;
const service = (name: string): ServiceName => serviceName("shop", `${name}.shop.svc.cluster.local`);

/** What one gateway is to do, made up: all kinds of values that the registry may derive. */
export class RandomGateway {
  readonly services: Source<string, ProxyService>;
  readonly policies: Source<string, ProxyPolicies>;
  readonly backends: Source<string, ProxyBackend>;
  readonly endpoints: Source<string, ProxyEndpoints>;
  readonly eastWestRoutes: Source<string, EastWestRoute>;
  readonly #random: SeededRandom;
  #changes = 0;

  constructor(
    graph: Graph,
    random: SeededRandom,
    readonly gateways: Source<ObjectKey, ProxyGateway>,
  ) {
    this.#random = random;
    this.services = new Source(graph, "services");
    this.policies = new Source(graph, "policies");
    this.backends = new Source(graph, "backends");
    this.endpoints = new Source(graph, "endpoints");
    this.eastWestRoutes = new Source(graph, "east-west-routes");
    for (const name of NAMES) for (const port of PORTS) this.#writeBackend(backendName(service(name), port));
  }

  /** Makes one thing another; flush the graph then. */
  change(): void {
    this.#changes += 1;
    const { gateways } = this;
    const kind = gateways.get(WAYPOINT)?.kind ?? "waypoint";
    const name = this.#random.pick(NAMES);
    const what = this.#random.below(8);
    if (what <= 1) this.#writeBackend(backendName(service(name), this.#random.pick(PORTS)));
    else if (what === 2) this.#writeEndpoints(backendName(service(name), this.#random.pick(PORTS)));
    else if (kind === "east-west") this.#writeRoute(name);
    else if (what <= 4) this.#writePolicies(name);
    else this.#writeService(name);
  }

  /** What was a waypoint is an east-west gateway from now on, or the other way round. */
  become(gateway: ProxyGateway): void {
    this.gateways.set(WAYPOINT, gateway);
    this.services.replace("", []);
    this.policies.replace("", []);
    this.eastWestRoutes.replace("", []);
    for (const name of NAMES) if (gateway.kind === "east-west") this.#writeRoute(name);
    for (const name of NAMES) if (gateway.kind === "waypoint") this.#writeService(name);
  }

  #writeService(name: string): void {
    const random = this.#random;
    const key = proxyKey(WAYPOINT, service(name));
    if (random.chance(0.2)) return this.services.delete(key);
    const host = `${name}.shop.svc.cluster.local`;
    const numbers = PORTS.filter(() => random.chance(0.6));
    this.services.set(key, {
      gateway: WAYPOINT,
      service: service(name),
      hostname: hostname(host),
      authorities: [`10.96.0.${NAMES.indexOf(name as "cart") + 1}`, host],
      ports: (numbers.length === 0 ? [80] : numbers).map((number) => this.#port(name, number)),
    });
  }

  #port(name: string, number: number): ProxyPort {
    const random = this.#random;
    const backend = backendName(service(name), number);
    const others = NAMES.map((other) => backendName(service(other), random.pick(PORTS)));
    const protocol = random.pick(["http", "http", "detected", "tcp"] as const);
    return { number, protocol, rules: protocol === "tcp" ? [] : randomRules(random, [backend, ...others]), backend };
  }

  #writePolicies(name: string): void {
    const key = proxyKey(WAYPOINT, service(name));
    if (this.#random.chance(0.3)) return this.policies.delete(key);
    const [authorization = []] = fc.sample(somePolicies, { seed: this.#changes, numRuns: 1 });
    const denyingFirst = [...authorization].sort((a, b) => Number(a.action === "allow") - Number(b.action === "allow"));
    const authentication = this.#random.chance(0.4) ? [tokens] : [];
    this.policies.set(key, { gateway: WAYPOINT, service: service(name), authorization: denyingFirst, authentication });
  }

  #writeBackend(name: BackendName): void {
    const random = this.#random;
    const protocol = random.pick(["http1", "http2", "same", "tcp"] as const);
    const settings = { ...SETTINGS, ...(random.chance(0.5) ? randomSettings(random) : {}) };
    this.backends.set(proxyKey(WAYPOINT, name), { gateway: WAYPOINT, name, protocol, settings });
    if (this.endpoints.get(proxyKey(WAYPOINT, name)) === undefined) this.#writeEndpoints(name);
  }

  #writeEndpoints(name: BackendName): void {
    const random = this.#random;
    const groups = Array.from({ length: random.below(3) }, (_, group) =>
      Array.from({ length: 1 + random.below(3) }, (_, at) => randomEndpoint(random, `10.1.${group}.${at + 1}`)),
    );
    this.endpoints.set(proxyKey(WAYPOINT, name), { gateway: WAYPOINT, name, groups });
  }

  #writeRoute(name: string): void {
    const random = this.#random;
    const key = proxyKey(WAYPOINT, service(name));
    if (random.chance(0.2)) return this.eastWestRoutes.delete(key);
    this.eastWestRoutes.set(key, {
      gateway: WAYPOINT,
      service: service(name),
      hostname: hostname(`${name}.shop.mesh.internal`),
      ports: PORTS.map((number) => ({
        number,
        direct: backendName(service(name), number),
        waypoint: random.chance(0.5) ? backendName(service(name), 8080) : undefined,
      })),
      throughWaypoint: random.chance(0.5),
      actedBy: random.pick([[], [spiffe("waypoint", "west.example")]]),
    });
  }
}

function randomEndpoint(random: SeededRandom, ip: string): ProxyEndpoint {
  const endpoint = random.pick([
    plain(ip),
    tunnel(ip),
    tunnel(ip, [spiffe("cart"), spiffe("cart-2")]),
    doubleTunnel(),
    doubleTunnel({ kind: "ip", ip: "192.0.2.8" }),
  ]);
  return { ...endpoint, id: `pod ${ip}`, weight: 1 + random.below(10) };
}

const randomSettings = (random: SeededRandom): Partial<BackendSettings> => ({
  connectTimeoutMs: random.pick([1, 500, 60_000]),
  maxConnections: random.pick([undefined, 1, 1024]),
  maxPendingRequests: random.pick([undefined, 10]),
  maxRequestsPerConnection: random.pick([undefined, 1, 100]),
  maxRetries: random.pick([undefined, 3]),
  idleTimeoutMs: random.pick([undefined, 60_000]),
  balance: random.pick(["round-robin", "least-request", "random"]),
  outlierDetection: random.pick([
    undefined,
    {
      consecutive5xx: 5,
      consecutiveGatewayErrors: 3,
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 10,
    },
    {
      consecutive5xx: 1,
      consecutiveGatewayErrors: undefined,
      intervalMs: 1,
      baseEjectionMs: 1,
      maxEjectionPercent: 100,
    },
  ]),
});

const tokens: TokenPolicy = {
  name: "shop/tokens",
  rules: [
    {
      issuer: "https://a.example",
      audiences: ["shop"],
      keys: { kind: "inline", jwks: '{"keys":[]}' },
      fromHeaders: [{ name: "x-token", prefix: "Token " }],
      fromParams: ["token"],
      fromCookies: [],
      forwardToken: true,
      payloadHeader: "x-payload",
      spaceDelimitedClaims: [],
      claimHeaders: [{ header: "x-sub", claim: "sub" }],
    },
  ],
};
