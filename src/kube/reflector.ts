import type { Host } from "../host.ts";
import type { KubeApi, ResourceType } from "./api.ts";
import type { Found } from "./discovery.ts";
import { ListWatch, type Phase, type Step } from "./list-watch.ts";
import { Mirror } from "./mirror.ts";
import type { ObjectSink } from "./object.ts";
import { ReflectorReports } from "./reflector-reports.ts";
import { outcomeOf } from "./outcome.ts";
import type { RelistGate, Turn } from "./relist-gate.ts";
import { ServerTraits, slept, unlessAborted } from "./server-traits.ts";

export interface ReflectorOptions {
  /** For the log and metrics. */
  readonly cluster: string;
  readonly type: ResourceType;
  /** Of namespaced kinds, only the objects there. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** What is lost where the kind is not served, for the log. */
  readonly purpose?: string;
  /** Hears of every object as it comes, and of one that went only on positive evidence. */
  readonly sink: ObjectSink;
  /** Once: the first list is complete, or the server is known not to serve the kind. */
  readonly onSynced: () => void;
}

export interface ReflectorState {
  /**
   * `retrying` after a failure; `absent` if the server does not serve the kind, which is looked for every 30 s;
   * `forbidden` if we may not read it, which is tried again and again, every 30 s at last.
   */
  readonly phase: Phase | "closed";
  /** What `onSynced` says. A kind that is forbidden from the start never is. */
  readonly synced: boolean;
  /** Objects that the sink has. */
  readonly objects: number;
  /** Why it is not well, in the server's words; undefined if it is. */
  readonly problem: string | undefined;
  /** Milliseconds since the server last said anything about the kind. */
  readonly silentMs: number;
}

const LAG_EVERY_MS = 10_000;
const LISTEN_EVERY_MS = 10_000;
/** Other clusters do not wait for a list that has brought nothing for so long: its server may have lost its etcd. */
const IDLE_TURN_MS = 1_000;

/**
 * Keeps a sink as the objects of one kind are on one API server: lists them, watches from there, and begins anew where
 * that breaks off. It never gives up, and remembers nothing but which objects there are (contract operations.md 3.2).
 */
export class Reflector {
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #gate: RelistGate;
  readonly #cluster: string;
  readonly #type: ResourceType;
  readonly #mirror: Mirror;
  readonly #machine: ListWatch;
  readonly #traits: ServerTraits;
  readonly #reports: ReflectorReports;
  readonly #stop = new AbortController();
  #turn: Turn | undefined;
  #idling: Disposable | undefined;
  #running: Promise<void> | undefined;
  #lagTimer: Disposable | undefined;

  constructor(host: Host, api: KubeApi, gate: RelistGate, options: ReflectorOptions) {
    this.#host = host;
    this.#api = api;
    this.#gate = gate;
    this.#cluster = options.cluster;
    this.#type = options.type;
    this.#mirror = new Mirror(options.type, options.namespace, options.sink);
    this.#traits = ServerTraits.of(host, api, options.cluster);
    this.#reports = new ReflectorReports(host, { ...options, server: api.server });
    this.#machine = new ListWatch(host, this.#traits, options, this.#mirror, this.#reports, options.onSynced);
  }

  /** Begins; once. */
  start(): void {
    if (this.#running || this.#stop.signal.aborted) return;
    this.#running = this.#run(this.#stop.signal);
    this.#showLag();
  }

  get state(): ReflectorState {
    const { phase, synced, problem, heardAtMs } = this.#machine;
    return {
      phase: this.#stop.signal.aborted ? "closed" : phase,
      synced,
      objects: this.#mirror.size,
      problem: this.#traits.problem ?? problem,
      silentMs: this.#host.clock.elapsedMs() - heardAtMs,
    };
  }

  /** Stops: neither the sink nor `onSynced` is called again. What the sink has stays. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#lagTimer?.[Symbol.dispose]();
    this.#reports.close();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#perform(signal);
      this.#leaveGate();
    }
    this.#endTurn();
  }

  async #perform(signal: AbortSignal): Promise<void> {
    const { step, relisting } = this.#machine;
    if (step.do === "wait") {
      await slept(this.#host, step.delayMs, signal);
      await slept(this.#host, step.delayMs > 0 ? this.#traits.spacingMs() : 0, signal);
      if (!signal.aborted) this.#machine.waited();
      return;
    }
    // In this order: a server that cannot be reached must not keep others from listing.
    if (!this.#traits.reachable) await this.#reach(signal);
    if (relisting) await this.#takeTurn(signal);
    if (signal.aborted) return;
    if (step.do === "watch") await this.#watch(step.path, signal);
    else await this.#ask(step, signal);
  }

  async #reach(signal: AbortSignal): Promise<void> {
    this.#endTurn();
    await this.#traits.reach(signal);
  }

  /** The same turn goes on from page to page, unless one kept us waiting. */
  async #takeTurn(signal: AbortSignal): Promise<void> {
    if (this.#turn !== undefined && this.#idling === undefined) this.#endTurn();
    this.#idling?.[Symbol.dispose]();
    const turn = (this.#turn ??= await this.#gate.enter(this.#cluster, signal));
    if (turn !== undefined) this.#idleLater(turn);
  }

  #idleLater(turn: Turn): void {
    this.#idling = this.#host.clock.after(IDLE_TURN_MS, () => {
      this.#idling = undefined;
      if (this.#machine.heardAtMs + IDLE_TURN_MS > this.#host.clock.elapsedMs()) this.#idleLater(turn);
      else turn.idle();
    });
  }

  /** Once a list is over, whatever came of it. */
  #leaveGate(): void {
    if (!this.#machine.relisting) this.#endTurn();
  }

  #endTurn(): void {
    this.#idling?.[Symbol.dispose]();
    this.#idling = undefined;
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
  }

  /** Only what the server does wrong is a failure of the step: what the machine throws is a defect of ours. */
  async #ask(step: Exclude<Step, { readonly do: "wait" | "watch" }>, signal: AbortSignal): Promise<void> {
    const asked =
      step.do === "list"
        ? this.#api.call({ method: "GET", path: step.path }, signal)
        : this.#traits.discovery.find(this.#type, step.ageMs, step.confirm);
    const answer = await unlessAborted(outcomeOf<unknown>(asked), signal);
    if (answer === undefined || signal.aborted) return;
    if ("error" in answer) this.#machine.failed(answer.error);
    else if (step.do === "list") this.#machine.page(answer.value);
    else this.#machine.discovered(answer.value as Found);
  }

  /** Resolves when the watch has ended, one way or another. */
  #watch(path: string, signal: AbortSignal): Promise<void> {
    const { clock } = this.#host;
    const machine = this.#machine;
    return new Promise((resolve) => {
      let heardAtMs = clock.elapsedMs();
      let over = false;
      const end = (): void => {
        over = true;
        signal.removeEventListener("abort", end);
        timer[Symbol.dispose]();
        watch?.[Symbol.dispose]();
        resolve();
      };
      const listen = (): void => {
        const restMs = heardAtMs + machine.patienceMs - clock.elapsedMs();
        // Its patience can shrink meanwhile.
        if (restMs > 0) timer = clock.after(Math.min(restMs, LISTEN_EVERY_MS), listen);
        else {
          machine.silent();
          end();
        }
      };
      let timer = clock.after(machine.patienceMs, listen);
      let watch: Disposable | undefined;
      signal.addEventListener("abort", end);
      watch = this.#api.watch(path, {
        onOpen: () => {
          if (over) return;
          heardAtMs = clock.elapsedMs();
          machine.opened();
        },
        onEvent: (event) => {
          if (over) return;
          heardAtMs = clock.elapsedMs();
          if (!machine.event(event)) end();
          else if (this.#turn !== undefined) this.#leaveGate();
        },
        onEnd: (error) => {
          if (over) return;
          machine.ended(error);
          end();
        },
      });
      if (over) watch[Symbol.dispose]();
    });
  }

  #showLag(): void {
    this.#reports.lag(this.state.silentMs / 1000);
    this.#lagTimer = this.#host.clock.after(LAG_EVERY_MS, () => this.#showLag());
  }
}
