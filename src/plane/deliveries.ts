import type { Clock } from "../host.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import { ADDRESS_TYPE, type SubscriptionStatus } from "../xds/resource.ts";

const LOOK_MS = 20;
/** A client that is silent for longer is no measure of anything. */
const PATIENCE_MS = 30_000;
/** Looking costs something for each client. */
const CLIENTS_PER_LOOK = 100;

/** Tells when clients have acknowledged what the mesh was at some time; looked at now and then, and only while asked. */
export class Deliveries {
  readonly #clock: Clock;
  readonly #clients: () => readonly ClientStatus[];
  #waiting: { readonly sinceMs: number; readonly done: (delivered: boolean) => void }[] = [];
  #looking = false;

  constructor(clock: Clock, clients: () => readonly ClientStatus[]) {
    this.#clock = clock;
    this.#clients = clients;
  }

  /** Calls `done` once all who follow workloads and services have what is known now; with false if nobody does, or takes it. */
  once(done: (delivered: boolean) => void): void {
    this.#waiting.push({ sinceMs: this.#clock.elapsedMs(), done });
    if (!this.#looking) this.#lookAgain(1);
  }

  #lookAgain(clients: number): void {
    this.#looking = true;
    // The first look comes after what was written has settled.
    this.#clock.after(LOOK_MS * Math.ceil(clients / CLIENTS_PER_LOOK), () => this.#look());
  }

  #look(): void {
    const followed = this.#clients().flatMap(({ node, subscriptions }) =>
      // Peers follow what we share, which nothing of this is.
      node?.id.startsWith("istiod~") === true ? [] : subscriptions.filter(({ typeUrl }) => typeUrl === ADDRESS_TYPE),
    );
    const nowMs = this.#clock.elapsedMs();
    const current = followed.every(isCurrent);
    const over = this.#waiting.filter(({ sinceMs }) => current || nowMs - sinceMs >= PATIENCE_MS);
    this.#waiting = this.#waiting.filter((waiting) => !over.includes(waiting));
    for (const { done } of over) done(current && followed.length > 0);
    this.#looking = false;
    if (this.#waiting.length > 0) this.#lookAgain(followed.length);
  }
}

const isCurrent = ({ backlog, sentNonce, ackedNonce }: SubscriptionStatus): boolean =>
  backlog === 0 && sentNonce === ackedNonce;
