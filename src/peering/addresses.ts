import { messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { GatewayHost } from "../registry/model/address.ts";

/** How long an answer is believed; the system's resolver tells no lifetime, and clouds give theirs 60 s. */
const AGAIN_MS = 30_000;
/** A name that a cloud has just made takes a minute to appear (contract peering.md 2.3). */
const UNRESOLVED_AGAIN_MS = 5_000;
const IPS_MAX = 32;

/** All addresses of a name. @throws if it has none. */
export type LookUp = (hostname: string) => Promise<readonly string[]>;

export interface AddressWatch {
  /** In the order of the hosts. A name that can no longer be looked up keeps its last good answer. */
  found(ips: readonly string[]): void;
  /** None of the hosts has an address, nor had one. */
  unresolved(message: string): void;
}

/** The addresses of a peer's hosts, looked up again and again. */
export class Addresses {
  readonly #clock: Clock;
  readonly #lookUp: LookUp;
  readonly #watch: AddressWatch;
  readonly #answers = new Map<string, readonly string[]>();
  #hosts: readonly GatewayHost[] = [];
  #round = 0;
  #timer: Disposable | undefined;

  constructor(clock: Clock, lookUp: LookUp, watch: AddressWatch) {
    this.#clock = clock;
    this.#lookUp = lookUp;
    this.#watch = watch;
  }

  /** What is known now; IP addresses need no look-up. */
  get ips(): readonly string[] {
    const found = this.#hosts.flatMap((host) =>
      host.kind === "ip" ? [host.ip] : (this.#answers.get(host.hostname) ?? []),
    );
    return [...new Set(found)].slice(0, IPS_MAX);
  }

  /** Replaces the hosts, and tells the watch what it finds; at once if there is nothing to look up. */
  follow(hosts: readonly GatewayHost[]): void {
    this.#hosts = hosts;
    const names = new Set(hosts.flatMap((host) => (host.kind === "ip" ? [] : [host.hostname])));
    for (const name of this.#answers.keys()) if (!names.has(name)) this.#answers.delete(name);
    void this.#look([...names], ++this.#round);
  }

  close(): void {
    this.#round += 1;
    this.#timer?.[Symbol.dispose]();
  }

  async #look(names: readonly string[], round: number): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    if (this.ips.length > 0) this.#watch.found(this.ips);
    if (names.length === 0) return;
    const failures = await Promise.all(names.map((name) => this.#ask(name)));
    if (round !== this.#round) return;
    const { ips } = this;
    if (ips.length > 0) this.#watch.found(ips);
    else this.#watch.unresolved(failures.join("; "));
    const againMs = ips.length > 0 ? AGAIN_MS : UNRESOLVED_AGAIN_MS;
    this.#timer = this.#clock.after(againMs, () => void this.#look(names, round));
  }

  /** @returns why there is no answer, or nothing. */
  async #ask(name: string): Promise<string> {
    try {
      // Sorted: resolvers shuffle, and a peer that has not moved is not dialled anew.
      const ips = [...(await this.#lookUp(name))].sort();
      if (ips.length > 0) this.#answers.set(name, ips);
      return ips.length > 0 ? "" : `${name} has no address`;
    } catch (thrown) {
      return `${name} cannot be looked up: ${messageOf(thrown)}`;
    }
  }
}
