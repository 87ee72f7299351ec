import type { Host } from "../host.ts";
import type { KubeApi } from "./api.ts";
import { LeaderElection } from "./leader-election.ts";
import type { LeaseTimes } from "./lease.ts";
import type { WantedObjects } from "./wanted-object.ts";
import type { WriteLimits } from "./write-queue.ts";
import { Writer, type WriteReport } from "./writer.ts";

export interface StatusWritingOptions {
  readonly wanted: WantedObjects;
  /** Where the Lease is. */
  readonly systemNamespace: string;
  /** Replicas of one revision share a Lease, so that two revisions can run side by side. */
  readonly revision: string;
  readonly podName: string;
  /** Another Lease than that of statuses; with it, whose writes these are in metrics. */
  readonly lease?: { readonly name: string; readonly writer: string };
  readonly leaseTimes?: LeaseTimes;
  readonly limits?: WriteLimits;
  /** Hears of each write of this replica. */
  readonly onWrite?: (report: WriteReport) => void;
}

/** Writes what is wanted to one API server, while this replica is the one that does. */
export class StatusWriting {
  readonly #election: LeaderElection;
  readonly #writer: Writer;
  readonly #following: Disposable;

  constructor(host: Host, api: KubeApi, options: StatusWritingOptions) {
    const { wanted, systemNamespace, revision, podName, lease, leaseTimes, limits, onWrite } = options;
    this.#writer = new Writer(host, api, wanted, limits, lease?.writer);
    if (onWrite !== undefined) this.#writer.onWrite = onWrite;
    this.#election = new LeaderElection(host, api, {
      namespace: systemNamespace,
      name: lease?.name ?? leaseName(revision),
      podName,
      ...(leaseTimes !== undefined && { times: leaseTimes }),
    });
    this.#following = this.#election.observe((term) => {
      if (term === undefined) this.#writer.end();
      else this.#writer.begin(term);
    });
  }

  get leading(): boolean {
    return this.#election.leading;
  }

  /** Who we are in the Lease. */
  get identity(): string {
    return this.#election.identity;
  }

  /** Begins to ask for the Lease. Only once what is wanted is complete: before, nothing may be withdrawn. */
  start(): void {
    this.#election.start();
  }

  /** Writes no more, and gives the Lease back: at most two requests long. Idempotent. */
  async close(): Promise<void> {
    this.#writer.end();
    await this.#election.close();
    this.#following[Symbol.dispose]();
  }
}

/**
 * What is written of peers is about the whole cluster, whatever the revision, so there is one Lease for all (contract
 * peering.md 2.17).
 */
export const PEERING_LEASE = { name: "causeway-peering-writer", writer: "peering" };

/** Gateways that name no revision are everybody's to deploy, and one deploys them. */
export const GATEWAY_LEASE = { name: "causeway-gateway-writer", writer: "gateways" };

export const leaseName = (revision: string): string => `causeway-status-${revision}`;
