import type { Host } from "../host.ts";
import type { KubeApi } from "../kube/api.ts";
import { LeaderElection, type Term } from "../kube/leader-election.ts";
import { Writer } from "../kube/writer.ts";
import type { WantedObjects } from "../kube/wanted-object.ts";

const LEASE = "causeway-trust-manager";

export interface LeadershipOptions {
  readonly namespace: string;
  readonly podName: string;
  /** Called once we lead no more: nothing may be signed from then on. */
  readonly onLost: () => void;
}

/** One replica of the trust manager does its work, and writes statuses; the others wait for its Lease. */
export class Leadership {
  readonly #election: LeaderElection;
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #following: Disposable;
  #writer: Writer | undefined;
  #term: Term | undefined;
  #onLed: () => void = () => {};

  constructor(host: Host, api: KubeApi, { namespace, podName, onLost }: LeadershipOptions) {
    this.#host = host;
    this.#api = api;
    this.#election = new LeaderElection(host, api, { namespace, name: LEASE, podName });
    this.#following = this.#election.observe((term) => {
      this.#term = term;
      if (term === undefined) {
        this.#writer?.end();
        onLost();
      } else {
        this.#onLed();
        this.#writer?.begin(term);
      }
    });
  }

  /** Resolves once we lead, which may be never. */
  lead(): Promise<void> {
    return new Promise((resolve) => {
      this.#onLed = resolve;
      this.#election.start();
    });
  }

  /** Writes what is wanted, for as long as we lead. Once. */
  write(wanted: WantedObjects): void {
    this.#writer = new Writer(this.#host, this.#api, wanted, undefined, "trust");
    if (this.#term !== undefined) this.#writer.begin(this.#term);
  }

  /** Gives the Lease back. Idempotent. */
  async close(): Promise<void> {
    this.#writer?.end();
    this.#following[Symbol.dispose]();
    await this.#election.close();
  }
}
