import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { hostname, type ServiceName, serviceName } from "../../../src/names.ts";
import {
  type BackendName,
  backendName,
  type BackendSettings,
  type ProxyEndpoint,
} from "../../../src/registry/model/proxy-backend.ts";
import type { ProxyGateway } from "../../../src/registry/model/proxy-gateway.ts";
import type { TokenPolicy } from "../../../src/registry/model/proxy-policies.ts";
import { proxyKey, type ProxyPort } from "../../../src/registry/model/proxy-service.ts";
import { somePolicies } from "../../conformance/policy-samples.ts";
import type { SeededRandom } from "../../sim/world.ts";
import type { proxyWorld } from "./proxy-world.ts";
import { randomRules } from "./random-rules.ts";
import { doubleTunnel, GATEWAY, plain, SETTINGS, spiffe, tunnel } from "./samples.ts";

const PORTS = [80, 8080, 9090] as const;
const NAMES = ["cart", "web", "pay", "stock", "mail", "search"] as const;
const service = (name: string): ServiceName => serviceName("shop", `${name}.shop.svc.cluster.local`);

/** What one gateway is to do, made up: all kinds of values that the registry may derive. */
export class RandomGateway {
  readonly #random: SeededRandom;
  readonly #world: ReturnType<typeof proxyWorld>;
  #changes = 0;

  constructor(random: SeededRandom, world: ReturnType<typeof proxyWorld>) {
    this.#random = random;
    this.#world = world;
    for (const name of NAMES) for (const port of PORTS) this.#writeBackend(backendName(service(name), port));
  }

  /** Makes one thing another; flush the graph then. */
  change(): void {
    this.#changes += 1;
    const kind = this.#world.gateways.get(GATEWAY)?.kind ?? "waypoint";
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
    this.#world.gateways.set(GATEWAY, gateway);
    this.#world.services.replace("", []);
    this.#world.policies.replace("", []);
    this.#world.eastWestRoutes.replace("", []);
    for (const name of NAMES) if (gateway.kind === "east-west") this.#writeRoute(name);
    for (const name of NAMES) if (gateway.kind === "waypoint") this.#writeService(name);
  }

  #writeService(name: string): void {
    const random = this.#random;
    const key = proxyKey(GATEWAY, service(name));
    if (random.chance(0.2)) return this.#world.services.delete(key);
    const host = `${name}.shop.svc.cluster.local`;
    const numbers = PORTS.filter(() => random.chance(0.6));
    this.#world.services.set(key, {
      gateway: GATEWAY,
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
    const key = proxyKey(GATEWAY, service(name));
    if (this.#random.chance(0.3)) return this.#world.policies.delete(key);
    const [authorization = []] = fc.sample(somePolicies, { seed: this.#changes, numRuns: 1 });
    const denyingFirst = [...authorization].sort((a, b) => Number(a.action === "allow") - Number(b.action === "allow"));
    const authentication = this.#random.chance(0.4) ? [tokens] : [];
    this.#world.policies.set(key, {
      gateway: GATEWAY,
      service: service(name),
      authorization: denyingFirst,
      authentication,
    });
  }

  #writeBackend(name: BackendName): void {
    const random = this.#random;
    const protocol = random.pick(["http1", "http2", "same", "tcp"] as const);
    const settings = { ...SETTINGS, ...(random.chance(0.5) ? randomSettings(random) : {}) };
    this.#world.backends.set(proxyKey(GATEWAY, name), { gateway: GATEWAY, name, protocol, settings });
    if (this.#world.endpoints.get(proxyKey(GATEWAY, name)) === undefined) this.#writeEndpoints(name);
  }

  #writeEndpoints(name: BackendName): void {
    const random = this.#random;
    const groups = Array.from({ length: random.below(3) }, (_, group) =>
      Array.from({ length: 1 + random.below(3) }, (_, at) => randomEndpoint(random, `10.1.${group}.${at + 1}`)),
    );
    this.#world.endpoints.set(proxyKey(GATEWAY, name), { gateway: GATEWAY, name, groups });
  }

  #writeRoute(name: string): void {
    const random = this.#random;
    const key = proxyKey(GATEWAY, service(name));
    if (random.chance(0.2)) return this.#world.eastWestRoutes.delete(key);
    this.#world.eastWestRoutes.set(key, {
      gateway: GATEWAY,
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
      keys: {
        kind: "inline",
        jwks: JSON.stringify({
          keys: [generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" })],
        }),
      },
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
