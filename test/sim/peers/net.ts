import type { SeededRandom, VirtualClock } from "../world.ts";

/** gRPC pings after 30 s without a word, and waits 10 s for the answer (contract peering.md 2.3). */
const SILENCE_MS = 40_000;
const LOOK_MS = 5_000;

/** Something that can be at the end of a connection, and can be stopped, or end. */
export interface Party {
  /** Where it is: what is cut is cut between sites. */
  readonly site: string;
  /** Nothing runs there now, as after SIGSTOP. */
  readonly frozen: boolean;
  /** Runs a task now, or once it is thawed; never if it has ended. */
  run(task: () => void): void;
}

/** Which sites reach which, how long that takes, and the connections there are. */
export class Net {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  /** The longest time that anything is under way, in milliseconds. */
  delayMs = 40;
  readonly connections = new Set<Connection>();
  readonly #cut = new Set<string>();

  constructor(clock: VirtualClock, random: SeededRandom) {
    this.clock = clock;
    this.random = random;
  }

  /** Packets from one site to another are lost until `heal`. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }
  heal(): void {
    this.#cut.clear();
    for (const connection of [...this.connections]) connection.resume();
  }
  carries(from: string, to: string): boolean {
    return !this.#cut.has(`${from}>${to}`);
  }
  /** True if a call and its answer get through. */
  answers(from: string, to: string): boolean {
    return this.carries(from, to) && this.carries(to, from);
  }
}

interface Side {
  readonly party: Party;
  readonly onClosed: () => void;
  open: boolean;
  /** When the last message that was sent to it arrives. */
  arrivesAt: number;
  /** Sent to it, and held up by a cut. */
  readonly stalled: (() => void)[];
  silentMs: number;
}

export type End = "client" | "server";
const other = (end: End): End => (end === "client" ? "server" : "client");

/** Two streams of messages, in order; lost with the connection, and held up while its way is cut. */
export class Connection {
  readonly #net: Net;
  readonly #sides: Readonly<Record<End, Side>>;
  #watch: Disposable;

  constructor(net: Net, client: Party, server: Party, onClosed: Readonly<Record<End, () => void>>) {
    this.#net = net;
    const side = (party: Party, onClosed: () => void): Side => ({
      ...{ party, onClosed, open: true, arrivesAt: 0, stalled: [], silentMs: 0 },
    });
    this.#sides = { client: side(client, onClosed.client), server: side(server, onClosed.server) };
    net.connections.add(this);
    this.#watch = net.clock.after(LOOK_MS, () => this.#look());
  }

  isBetween(one: string, another: string): boolean {
    const { client, server } = this.#sides;
    return client.party.site === one && server.party.site === another;
  }
  has(party: Party): boolean {
    return this.#sides.client.party === party || this.#sides.server.party === party;
  }
  isOpen(end: End): boolean {
    return this.#sides[end].open;
  }

  /** Has `task` run at the other end. */
  send(from: End, task: () => void): void {
    if (this.#sides[from].open) this.#carry(other(from), () => this.#sides[other(from)].open && task());
  }

  /** One end has enough; the other hears of it after all that was sent before. */
  close(from: End): void {
    const side = this.#sides[from];
    if (!side.open) return;
    side.open = false;
    this.#carry(other(from), () => this.#end(other(from)));
    this.#forget();
  }

  /** Both ends hear at once that it is gone, and what is under way is lost. */
  reset(): void {
    for (const end of ["client", "server"] as const) {
      const { party } = this.#sides[end];
      party.run(() => this.#end(end));
    }
  }

  /** The process at one end is no more. */
  abandon(party: Party): void {
    this.reset();
    for (const side of Object.values(this.#sides)) if (side.party === party) side.open = false;
    this.#forget();
  }

  resume(): void {
    for (const end of ["client", "server"] as const) {
      const { stalled, party } = this.#sides[end];
      for (const task of stalled.splice(0)) party.run(task);
    }
  }

  #carry(to: End, task: () => void): void {
    const { clock, random, delayMs } = this.#net;
    const side = this.#sides[to];
    const at = (side.arrivesAt = Math.max(side.arrivesAt, clock.elapsedMs() + 1 + random.below(delayMs)));
    clock.after(at - clock.elapsedMs(), () => {
      if (side.stalled.length > 0 || !this.#reaches(to)) side.stalled.push(task);
      else side.party.run(task);
    });
  }

  #reaches(to: End): boolean {
    return this.#net.carries(this.#sides[other(to)].party.site, this.#sides[to].party.site);
  }

  #end(end: End): void {
    const side = this.#sides[end];
    if (!side.open) return;
    side.open = false;
    this.#forget();
    side.onClosed();
  }

  #forget(): void {
    if (this.#sides.client.open || this.#sides.server.open) return;
    this.#watch[Symbol.dispose]();
    this.#net.connections.delete(this);
  }

  /** Both ends ping: neither hears anything while packets are lost in one direction. */
  #look(): void {
    const { client, server } = this.#sides;
    const answers = this.#reaches("client") && this.#reaches("server");
    for (const end of ["client", "server"] as const) {
      const [side, far] = [this.#sides[end], this.#sides[other(end)]];
      side.silentMs = answers && far.open && !far.party.frozen ? 0 : side.silentMs + LOOK_MS;
      if (side.open && side.silentMs > SILENCE_MS) side.party.run(() => this.#end(end));
    }
    if (client.open || server.open) this.#watch = this.#net.clock.after(LOOK_MS, () => this.#look());
  }
}
