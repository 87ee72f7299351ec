import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { AgentEvents } from "../spire/spire.ts";

const LOOK_MS = 1_000;
/** Envoy starts within a second or two. */
const PATIENCE_MS = 5_000;

/** The processes of this machine, as far as Envoy goes. */
export interface EnvoyProcesses {
  /** Of our Envoy; undefined while it does not run. */
  pid(): number | undefined;
  /** When that process began, which no later one of the same number has; undefined if there is none. */
  begunAt(pid: number): string | undefined;
}

export type FollowProcess = (pid: number, events: AgentEvents) => Disposable;

interface Followed {
  readonly pid: number;
  readonly begunAt: string;
  readonly following: Disposable;
}

/**
 * Follows what SPIRE's agent says of Envoy's process. Numbers of processes are given again, and the agent speaks of
 * whoever has it: what is said is passed on only while the process is the one that was asked for (contract identity.md
 * 6, 22). The next Envoy is followed as soon as it runs. No I/O.
 */
export class EnvoyFollower implements Disposable {
  readonly #clock: Clock;
  readonly #processes: EnvoyProcesses;
  readonly #follow: FollowProcess;
  readonly #events: AgentEvents;
  readonly #sinceMs: number;
  #followed: Followed | undefined;
  #saidAbsent = false;
  #timer: Disposable | undefined;

  constructor(clock: Clock, processes: EnvoyProcesses, follow: FollowProcess, events: AgentEvents) {
    this.#clock = clock;
    this.#processes = processes;
    this.#follow = follow;
    this.#events = events;
    this.#sinceMs = clock.elapsedMs();
    this.#timer = clock.after(0, () => this.#look());
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#end();
  }

  #look(): void {
    this.#timer = this.#clock.after(LOOK_MS, () => this.#look());
    if (!this.#holds()) this.#begin();
  }

  #begin(): void {
    const pid = this.#processes.pid();
    const begunAt = pid === undefined ? undefined : this.#processes.begunAt(pid);
    if (pid === undefined || begunAt === undefined) return this.#tellAbsent();
    this.#saidAbsent = false;
    const holds = (): boolean => this.#followed?.following === following && this.#holds();
    const following: Disposable = this.#follow(pid, {
      said: (svids) => holds() && this.#events.said(svids),
      broke: (why) => holds() && this.#events.broke(why),
    });
    this.#followed = { pid, begunAt, following };
  }

  /** Whether the process that we follow is still the one that we began with; if not, nothing more is heard of it. */
  #holds(): boolean {
    if (this.#followed === undefined) return false;
    const { pid, begunAt } = this.#followed;
    if (this.#processes.begunAt(pid) === begunAt) return true;
    this.#end();
    this.#events.broke(new MeshError("absent", `Envoy's process ${pid} has ended, and SPIRE's agent is asked no more`));
    return false;
  }

  #tellAbsent(): void {
    if (this.#saidAbsent || this.#clock.elapsedMs() - this.#sinceMs < PATIENCE_MS) return;
    this.#saidAbsent = true;
    const why = "Envoy does not run where we can see its process, which SPIRE's agent is to be asked about";
    this.#events.broke(new MeshError("absent", `${why}: start it, or name selectors with --spire-selectors`));
  }

  #end(): void {
    this.#followed?.following[Symbol.dispose]();
    this.#followed = undefined;
  }
}
