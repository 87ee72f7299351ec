import { LRUCache } from "lru-cache";
import type { MeshError } from "../errors.ts";
import type { Clock, Counter, EpochMs, Host, Logger } from "../host.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { PeerProof } from "../xds/peer-gate.ts";

/** Clusters whose refusal is remembered: whoever gets this far has a control plane's certificate. */
const REMEMBERED_MAX = 1_024;

/** Why a peer was not let in, for its operator and ours. */
export interface Refused {
  /** As it said, escaped and shortened. */
  readonly cluster: string;
  readonly identity: string;
  readonly remoteAddress: string;
  /** One word, which the peer gets, too. */
  readonly reason: string;
  readonly message: string;
  readonly at: EpochMs;
}

/** Says each refusal once, until its reason changes or the peer is let in: refused peers come again every half minute. */
export class RefusalBook {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counted: Counter;
  readonly #last = new LRUCache<string, Refused>({ max: REMEMBERED_MAX });

  constructor({ clock, log, metrics }: Host) {
    this.#clock = clock;
    this.#log = log.scope("peering");
    this.#counted = metrics.counter("peer_clients_refused_total", "Peers that may not read here, by reason.", [
      "reason",
    ]);
  }

  all(): readonly Refused[] {
    return [...this.#last.values()];
  }

  /** @param cluster as it said. */
  note(cluster: string, { identity, remoteAddress }: PeerProof, error: MeshError): void {
    const reason = typeof error.detail["reason"] === "string" ? error.detail["reason"] : "Invalid";
    this.#counted.add(1, { reason });
    const who = formatServiceAccountId(identity);
    const key = `${cluster} ${who}`;
    const known = this.#last.get(key);
    this.#last.set(key, {
      ...{ cluster, remoteAddress, reason },
      identity: who,
      message: error.message,
      at: this.#clock.now(),
    });
    const level = known?.reason === reason ? "debug" : "warn";
    this.#log[level]("peer refused", { cluster, identity: who, address: remoteAddress, reason, why: error.message });
  }

  /** The peer was let in. */
  forget(cluster: string): void {
    for (const key of this.#last.keys()) if (key.startsWith(`${cluster} `)) this.#last.delete(key);
  }
}
