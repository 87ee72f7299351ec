import assert from "node:assert/strict";
import type { ApiRequest, KubeApi, ResourceType, WatchHandler } from "../../src/kube/api.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../../src/kube/object.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import { RelistGate } from "../../src/kube/relist-gate.ts";
import { ENDPOINT_SLICES, GATEWAYS, NODES, PODS, SERVICE_ENTRIES } from "../../src/kube/resource-types.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { seededRandom } from "./world.ts";

/** How much happened, to show that a simulation was no quiet day. */
export interface ReflectorTally {
  sets: number;
  deletes: number;
  relists: number;
  expired: number;
  failures: number;
  silences: number;
  uninstalls: number;
  skipped: number;
}

const TYPES = [PODS, NODES, ENDPOINT_SLICES, GATEWAYS, SERVICE_ENTRIES];
const NAMES = 40;
const FAULTY_MS = 900_000;
/** The longest chain of patience: a silent watch (300 s), a wait (30 s), discovery (36 s), a slow list, and once more. */
const CALM_MS = 600_000;

/**
 * Objects of some kinds come and go while their API server has every fault of contract operations.md 3.4 (2 to 5) and of
 * 4.4 no. 23, as the seed picks them. Throws if an object is deleted that the server has, if one goes back in time, if
 * more than two lists run at once, or if in the end the sinks and the server differ.
 */
export async function simulateReflectors(seed: number): Promise<ReflectorTally> {
  const world = new ReflectorWorld(seed);
  try {
    await world.run();
    return world.tally;
  } catch (error) {
    throw new Error(`reflectors, seed ${seed}: ${(error as Error).message}`, { cause: error });
  }
}

class ReflectorWorld {
  readonly host = new TestHost();
  readonly random;
  readonly server: FakeApiServer;
  readonly gate = new RelistGate();
  readonly shelves: readonly WatchedShelf[];
  readonly reflectors: readonly Reflector[];
  readonly tally: ReflectorTally = {
    sets: 0,
    deletes: 0,
    relists: 0,
    expired: 0,
    failures: 0,
    silences: 0,
    uninstalls: 0,
    skipped: 0,
  };
  readonly #connection;
  #made = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    Object.assign(this.host, { random: seededRandom(seed + 1_000_000) });
    this.server = new FakeApiServer(this.host.clock, { seed });
    this.server.store.historyMax = this.random.pick([20, 200, 2_000]);
    this.server.watchList = this.random.pick(["served", "refused", "ignored"]);
    this.#connection = this.server.connect();
    const api = new CountedApi(this.#connection, this.gate);
    this.shelves = TYPES.map((type) => new WatchedShelf(type, this.server, this.tally));
    this.reflectors = TYPES.map(
      (type, at) =>
        new Reflector(this.host, api, this.gate, { cluster: "c", type, sink: this.shelves[at]!, onSynced: () => {} }),
    );
  }

  async run(): Promise<void> {
    for (let i = 0; i < NAMES; i++) this.#change();
    for (const reflector of this.reflectors) reflector.start();
    while (this.host.clock.elapsedMs() < FAULTY_MS) {
      this.#change();
      if (this.random.chance(0.04)) this.#breakSomething();
      await this.host.clock.pass(this.random.below(4_000));
    }
    this.#heal();
    for (let i = 0; i < 20; i++) {
      await this.host.clock.pass(CALM_MS / 20);
      this.#change();
    }
    await this.host.clock.pass(1_000);
    this.#compare();
    for (const reflector of this.reflectors) await reflector.close();
    assert.equal(this.server.watches.size, 0, "watches are left");
    assert.equal(this.gate.running, 0, "turns are left");
    this.#count();
  }

  /** Something comes, changes, goes, or goes and comes again under its name. */
  #change(): void {
    const type = this.random.pick(TYPES);
    const object = objectOf(type, `o${this.random.below(NAMES)}`, ++this.#made);
    const kind = { kind: object.kind, apiVersion: object.apiVersion };
    try {
      this.server.typeOf(kind);
    } catch {
      return;
    }
    if (this.random.chance(0.4)) this.server.remove(object);
    if (this.random.chance(0.7)) this.server.put(object);
  }

  #breakSomething(): void {
    const { server, random } = this;
    const { faults } = server;
    const fault = random.pick([
      () => server.expireAll(),
      () => server.cutWatches(),
      () => server.blackHoleWatches(random.pick([35_000, undefined])),
      () => this.#for(() => (faults.errorRate = random.pick([0.3, 0.6, 1]))),
      () => this.#for(() => (faults.retryAfterMs = 5_000)),
      () => this.#for(() => (faults.failPage = random.pick([1, 2]))),
      () => (server.cutWatches(), this.#for(() => (faults.down = true))),
      () => (server.blackHoleWatches(35_000), this.#for(() => (faults.silent = true))),
      () => this.#for(() => (faults.latencyMs = random.pick([100, 3_000, 12_000]))),
      () => this.#for(() => (faults.tamper = tamper(random.below(TAMPERS.length)))),
      () => (server.expireAll(), this.#for(() => (faults.tamper = tamper(random.below(TAMPERS.length))))),
      () => this.#for(() => (this.#connection.revoked = true)),
      () => this.#for(() => (faults.forbidden = ({ resource }) => resource !== "pods")),
      () => server.garble(random.pick(TYPES), random.pick(GARBAGE)),
      () => (server.watchList = random.pick(["served", "refused", "ignored"])),
      () => (server.cutWatches(), this.#for(() => (faults.loading = true))),
      () => this.#uninstall(random.pick([GATEWAYS, SERVICE_ENTRIES])),
    ]);
    fault();
  }

  /** A fault that ends after up to two minutes. */
  #for(begin: () => void): void {
    begin();
    this.host.clock.after(1_000 + this.random.below(120_000), () => this.#heal());
  }

  #uninstall(type: ResourceType): void {
    this.tally.uninstalls += 1;
    this.server.uninstall(type);
    this.host.clock.after(1_000 + this.random.below(120_000), () => this.server.install(type));
  }

  #heal(): void {
    const quiet = { down: false, silent: false, latencyMs: 1, errorRate: 0, loading: false };
    const none = { retryAfterMs: undefined, failPage: undefined, tamper: undefined, forbidden: undefined };
    Object.assign(this.server.faults, quiet, none);
    this.#connection.revoked = false;
    if (this.host.clock.elapsedMs() >= FAULTY_MS) for (const type of TYPES) this.server.install(type);
  }

  #compare(): void {
    for (const shelf of this.shelves) {
      const expected = this.server
        .list(shelf.type)
        .map((object) => [keyOf(object), object.metadata["resourceVersion"]]);
      const held = [...shelf.objects].map(([key, object]) => [key, object.metadata["resourceVersion"]]);
      assert.deepEqual(held.sort(byKey), expected.sort(byKey), `${shelf.type.plural} differ`);
    }
    for (const { state } of this.reflectors) assert.equal(state.phase, "watching", state.problem);
  }

  #count(): void {
    const sum = (name: string) =>
      this.host.series.filter((key) => key.startsWith(name)).reduce((total, key) => total + this.host.metric(key), 0);
    this.tally.relists = sum("informer_relists_total");
    this.tally.expired = this.host.series
      .filter((key) => key.startsWith("informer_relists_total") && key.includes("expired"))
      .reduce((total, key) => total + this.host.metric(key), 0);
    this.tally.failures = sum("controller_sync_errors_total");
    this.tally.skipped = sum("informer_events_skipped_total");
    this.tally.silences = this.host.lines.filter((line) => line.includes("watch said nothing")).length;
  }
}

/** Holds objects, and throws where it is told what cannot be. */
class WatchedShelf implements ObjectSink {
  readonly objects = new Map<string, KubeObject>();

  constructor(
    readonly type: ResourceType,
    readonly server: FakeApiServer,
    readonly tally: ReflectorTally,
  ) {}

  set(object: KubeObject): void {
    this.tally.sets += 1;
    const held = this.objects.get(keyOf(object));
    if (held !== undefined && held.metadata.uid === object.metadata.uid && versionOf(held) > versionOf(object))
      assert.fail(`${keyOf(object)} went back from ${versionOf(held)} to ${versionOf(object)}`);
    assert.equal(object.kind, this.type.kind);
    this.objects.set(keyOf(object), object);
  }

  delete(reference: ObjectReference): void {
    this.tally.deletes += 1;
    const { name, namespace } = reference.metadata;
    const held = this.objects.get(keyOf(reference));
    const there = this.server.get(this.type, namespace, name);
    if (held && there?.metadata.uid === held.metadata.uid)
      assert.fail(`${keyOf(reference)} was deleted while the server had it`);
    this.objects.delete(keyOf(reference));
  }
}

/** Fails if more than two lists run at once, as the server sees them. */
class CountedApi implements KubeApi {
  readonly server: string;
  #lists = 0;

  constructor(
    readonly api: KubeApi,
    readonly gate: RelistGate,
  ) {
    this.server = api.server;
  }

  async call(request: ApiRequest, signal?: AbortSignal): Promise<unknown> {
    const list = request.path.includes("limit=");
    if (list) this.#begin();
    try {
      return await this.api.call(request, signal);
    } finally {
      if (list) this.#lists -= 1;
    }
  }

  watch(path: string, handler: WatchHandler): Disposable {
    let listing = path.includes("sendInitialEvents");
    if (listing) this.#begin();
    const listed = (): void => {
      if (listing) this.#lists -= 1;
      listing = false;
    };
    const watch = this.api.watch(path, {
      onOpen: () => handler.onOpen(),
      onEvent: (event) => {
        if (JSON.stringify(event).includes("initial-events-end")) listed();
        handler.onEvent(event);
      },
      onEnd: (error) => (listed(), handler.onEnd(error)),
    });
    return { [Symbol.dispose]: () => (listed(), watch[Symbol.dispose]()) };
  }

  close(): Promise<void> {
    return this.api.close();
  }

  #begin(): void {
    this.#lists += 1;
    assert.ok(this.#lists <= 2 && this.gate.running <= 2, `${this.#lists} lists at once`);
  }
}

type List = Readonly<Record<string, unknown>> & { readonly metadata: object; readonly items: readonly KubeObject[] };

/** Lists that no server should send. */
const TAMPERS: readonly ((list: List) => unknown)[] = [
  () => ({}),
  () => "<html>welcome to nginx</html>",
  ({ items: _, ...list }) => list,
  (list) => ({ ...list, metadata: { ...list.metadata, resourceVersion: "abc" } }),
  (list) => ({ ...list, metadata: { ...list.metadata, resourceVersion: "-7" } }),
  (list) => ({ ...list, metadata: { ...list.metadata, continue: "again" } }),
  (list) => ({ ...list, items: [...list.items.slice(1), ...list.items.slice(-1)] }),
  (list) => ({ ...list, items: [...list.items.slice(1), { spec: {} }] }),
  (list) => ({ ...list, items: [...list.items.slice(1), null] }),
  (list) => ({ ...list, items: [], metadata: { ...list.metadata, continue: `${(endless += 1)}` } }),
  () => ({ kind: "Status", status: "Failure", code: 500 }),
];
let endless = 0;

function tamper(which: number): (answer: unknown, request: ApiRequest) => unknown {
  return (answer, { path }) => (path.includes("limit=") ? TAMPERS[which]!(answer as List) : answer);
}

const GARBAGE: readonly { readonly type: string; readonly object: unknown }[] = [
  { type: "EXPLODED", object: {} },
  { type: "ADDED", object: { spec: {} } },
  { type: "MODIFIED", object: null },
  { type: "DELETED", object: { metadata: { name: 7 } } },
  { type: "BOOKMARK", object: { metadata: { resourceVersion: "soon" } } },
  { type: "ERROR", object: { code: 500, message: "etcdserver: no leader" } },
  { type: "ERROR", object: "what" },
];

function objectOf(type: ResourceType, name: string, mark: number): KubeObject {
  const apiVersion = type.group === "" ? type.versions[0]! : `${type.group}/${type.versions[0]!}`;
  const metadata = type.namespaced ? { name, namespace: `ns${mark % 2}` } : { name };
  return { apiVersion, kind: type.kind, metadata, mark };
}

const versionOf = ({ metadata }: KubeObject): number => Number(metadata["resourceVersion"]);
const keyOf = ({ metadata }: ObjectReference): string => `${metadata.namespace ?? ""}/${metadata.name}`;
const byKey = ([a]: readonly unknown[], [b]: readonly unknown[]): number => (`${a}` < `${b}` ? -1 : 1);
