import assert from "node:assert/strict";
import { ClientStream } from "../../src/xds/client-stream.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type DeltaRequest, type TypeUrl } from "../../src/xds/resource.ts";
import { Mesh } from "./mesh.ts";
import { ModelZtunnel } from "./model-ztunnel.ts";
import { type SeededRandom, seededRandom, VirtualClock } from "./world.ts";

const APPS = ["a0", "a1", "a2"];
const NODES = ["n0", "n1"];
const STEPS = 70;

/** What a seed made happen, so that a run in which nothing happened shows. */
export interface Tally {
  responses: number;
  rejections: number;
  reconnects: number;
  restarts: number;
  expired: number;
  demands: number;
}

/** Everything of one seed: a control plane that restarts, clients that drop out, a mesh that changes. */
export class Simulation {
  readonly tally: Tally = { responses: 0, rejections: 0, reconnects: 0, restarts: 0, expired: 0, demands: 0 };
  readonly random: SeededRandom;
  readonly clock = new VirtualClock();
  readonly responseBytesMax: number;
  mesh = new Mesh();
  faulty = true;
  #revision = 0;
  readonly #clients: SimulatedClient[];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.responseBytesMax = this.random.pick([1, 600, 2_000, 1_000_000]);
    for (let step = 0; step < 10; step++) this.#mutate();
    this.mesh.graph.flush();
    this.#clients = Array.from({ length: 4 }, () => new SimulatedClient(this));
  }

  /** @throws AssertionError if a client ends with anything else than what the mesh holds. */
  run(): Tally {
    for (let step = 0; step < STEPS; step++) this.#step();
    this.faulty = false;
    // What a client rejected it gets again only once it has changed.
    this.#mend();
    this.#flush();
    this.clock.advance(300_000);
    for (const client of this.#clients) client.check();
    return this.tally;
  }

  #step(): void {
    const { random } = this;
    for (let changes = random.below(4); changes > 0; changes--) this.#mutate();
    this.#flush();
    if (random.chance(0.06)) random.pick(this.#clients).reconnect();
    if (random.chance(0.02)) this.#restart();
    random.pick(this.#clients).demand();
    this.clock.advance(random.chance(0.02) ? 70_000 : random.below(60));
  }

  #flush(): void {
    this.mesh.graph.flush();
    for (const client of this.#clients) client.pump();
  }

  #mutate(): void {
    const { random, mesh } = this;
    const revision = ++this.#revision;
    const bad = random.chance(0.08);
    const uid = `c//Pod/shop/p${random.below(7)}`;
    const service = `shop/${random.pick(APPS)}`;
    const policy = `shop/policy${random.below(3)}`;
    const address = `net/10.0.0.${random.below(6)}`;
    const changes = [
      () =>
        mesh.pods.set(uid, {
          app: random.pick(APPS),
          node: random.pick(NODES),
          address,
          healthy: random.chance(0.7),
          revision,
          bad,
        }),
      () => mesh.pods.delete(uid),
      () =>
        mesh.services.set(service, {
          vip: `net/10.1.0.${random.below(3)}`,
          allowAll: random.chance(0.4),
          revision,
          bad,
        }),
      () => mesh.services.delete(service),
      () => mesh.policies.set(policy, { app: random.pick(APPS), revision, bad }),
      () => mesh.policies.delete(policy),
    ];
    random.pick(changes)();
  }

  #mend(): void {
    const { pods, services, policies } = this.mesh;
    const mended = { bad: false, revision: ++this.#revision };
    for (const [key, value] of pods.entries()) if (value.bad === true) pods.set(key, { ...value, ...mended });
    for (const [key, value] of services.entries()) if (value.bad === true) services.set(key, { ...value, ...mended });
    for (const [key, value] of policies.entries()) if (value.bad === true) policies.set(key, { ...value, ...mended });
  }

  /** A new process: the same content from the same sources, and logs that remember nothing. */
  #restart(): void {
    this.tally.restarts += 1;
    const before = this.mesh;
    this.mesh = new Mesh();
    this.mesh.pods.replace("", before.pods.entries());
    this.mesh.services.replace("", before.services.entries());
    this.mesh.policies.replace("", before.policies.entries());
    this.mesh.graph.flush();
    for (const client of this.#clients) client.reconnect();
  }
}

/** A ztunnel, and the connection it has at the moment: messages are delayed, never reordered, and lost with it. */
class SimulatedClient {
  readonly #world: Simulation;
  readonly #state: ModelZtunnel;
  readonly #onDemand: boolean;
  readonly #versionless: boolean;
  readonly #node: string;
  readonly #demanded = new Set<string>();
  #stream: ClientStream | undefined;
  #connection = 0;
  /** Of this connection, no answer arrives any more. */
  #hangs = false;
  #arrivesAt = { server: 0, client: 0 };

  constructor(world: Simulation) {
    const { random } = world;
    this.#world = world;
    this.#state = new ModelZtunnel(random.chance(0.4));
    this.#onDemand = random.chance(0.3);
    this.#versionless = random.chance(0.1);
    this.#node = random.pick(NODES);
    this.#connect();
  }

  pump(): void {
    const stream = this.#stream;
    for (let response = stream?.poll(); response !== undefined; response = stream?.poll()) {
      const sent = response;
      this.#deliver("client", () => {
        this.#world.tally.responses += 1;
        const rejection = this.#state.apply(sent);
        if (rejection !== undefined) this.#world.tally.rejections += 1;
        if (!this.#hangs) this.#send({ typeUrl: sent.typeUrl, nonce: sent.nonce, rejection });
      });
    }
  }

  reconnect(): void {
    this.#world.tally.reconnects += 1;
    this.#stream?.close();
    this.#stream = undefined;
    const connection = ++this.#connection;
    this.#world.clock.after(10 + this.#world.random.below(200), () => {
      if (connection === this.#connection) this.#connect();
    });
  }

  demand(): void {
    const { random } = this.#world;
    if (!this.#onDemand || this.#stream === undefined) return;
    const keys = [
      `shop/${random.pick(APPS)}`,
      `net/10.0.0.${random.below(6)}`,
      `net/10.1.0.${random.below(3)}`,
      `c//Pod/shop/p${random.below(7)}`,
    ];
    const key = random.pick(keys);
    this.#world.tally.demands += 1;
    this.#demanded.add(key);
    this.#state.waiting.add(key);
    this.#send({ typeUrl: ADDRESS_TYPE, subscribe: [key] });
  }

  #connect(): void {
    const { random, clock, mesh, faulty, responseBytesMax } = this.#world;
    this.#connection += 1;
    this.#arrivesAt = { server: 0, client: 0 };
    this.#hangs = faulty && random.chance(0.1);
    this.#stream = new ClientStream(mesh.logs, clock, {
      id: `c${this.#connection}`,
      limits: { responseBytesMax },
      onWake: () => this.pump(),
      onExpired: () => {
        this.#world.tally.expired += 1;
        this.reconnect();
      },
    });
    const held = (typeUrl: TypeUrl) => {
      const versions = this.#state.versions(typeUrl);
      const waiting = typeUrl === ADDRESS_TYPE ? [...this.#state.waiting].map((key) => [key, ""] as const) : [];
      return new Map([...[...versions].map(([name, v]) => [name, this.#versionless ? "" : v] as const), ...waiting]);
    };
    // What was answered with nothing, a new stream knows nothing of.
    this.#demanded.clear();
    for (const key of this.#state.waiting) this.#demanded.add(key);
    const node = {
      id: "ztunnel~10.0.0.9~ztunnel-1.istio-system~istio-system.svc.cluster.local",
      metadata: new Map([["NODE_NAME", this.#node]]),
    };
    const nothing = this.#onDemand ? { subscribe: ["*"], unsubscribe: ["*"] } : {};
    this.#send({ typeUrl: ADDRESS_TYPE, node, initialVersions: held(ADDRESS_TYPE), ...nothing });
    this.#send({ typeUrl: AUTHORIZATION_TYPE, node, initialVersions: held(AUTHORIZATION_TYPE) });
  }

  #send(part: Partial<DeltaRequest> & { typeUrl: TypeUrl }): void {
    const empty = { node: undefined, subscribe: [], unsubscribe: [], nonce: "", rejection: undefined };
    this.#deliver("server", () => {
      this.#stream?.receive({ ...empty, initialVersions: new Map(), ...part });
      this.pump();
    });
  }

  #deliver(to: "server" | "client", arrive: () => void): void {
    const { clock, random } = this.#world;
    const connection = this.#connection;
    const at = Math.max(this.#arrivesAt[to], clock.elapsedMs() + random.below(40));
    this.#arrivesAt[to] = at;
    clock.after(at - clock.elapsedMs(), () => {
      if (connection === this.#connection && this.#stream !== undefined) arrive();
    });
  }

  /** Compares with a mesh that was computed from scratch. */
  check(): void {
    const truth = new Mesh();
    const live = this.#world.mesh;
    truth.pods.replace("", live.pods.entries());
    truth.services.replace("", live.services.entries());
    truth.policies.replace("", live.policies.entries());
    truth.graph.flush();
    const addresses = truth.log(ADDRESS_TYPE);
    const state = this.#state;
    assert.equal(live.log(ADDRESS_TYPE).digest, addresses.digest);
    assert.deepEqual([...state.policies.keys()].sort(), [...truth.policies.entries()].map(([key]) => key).sort());
    const held = [...state.workloads.keys(), ...state.services.keys()];
    if (!this.#onDemand) assert.deepEqual(held.sort(), [...addresses.names()].sort());
    for (const name of held)
      assert.equal(state.versions(ADDRESS_TYPE).get(name), addresses.versionOf(name), `the version of ${name}`);
    for (const [name, { version }] of state.policies)
      assert.equal(version, truth.log(AUTHORIZATION_TYPE).versionOf(name), `the version of ${name}`);
    for (const [name, { endpoints, sent }] of state.services) {
      const expected = [...truth.workloads.entries()]
        .filter(([, { services, healthy }]) => services.includes(name) && (healthy || sent.value.allowAll))
        .map(([uid]) => uid);
      assert.deepEqual([...endpoints].sort(), expected.sort(), `the endpoints of ${name}`);
    }
    if (this.#onDemand) this.#checkDemand(truth, new Set(held));
  }

  #checkDemand(truth: Mesh, held: ReadonlySet<string>): void {
    assert.deepEqual([...this.#state.waiting], [], "a demand was never answered");
    const addresses = truth.log(ADDRESS_TYPE);
    for (const key of this.#demanded) {
      const names = addresses.versionOf(key) === undefined ? addresses.relations.resolve(key) : [key];
      for (const name of names) assert(held.has(name), `${name} was demanded as ${key} and is not held`);
    }
    for (const name of addresses.relations.onNode(this.#node))
      assert(held.has(name), `${name} is on the client's node`);
  }
}

/** Runs one seed. @throws Error naming the seed, with what went wrong as its cause. */
export function simulate(seed: number): Tally {
  try {
    return new Simulation(seed).run();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}: ${why}`, { cause: error });
  }
}
