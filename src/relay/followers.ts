import { Quota as RateQuota } from "../ca/quota.ts";
import { Quota } from "../grpc/quota.ts";
import type { MessageChannel, MessageReceiver, StreamMethod } from "../grpc/method.ts";
import { MeshError } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { type CertificateBook, provenCluster, type ProvenCluster, whyVoid } from "./client-proof.ts";
import { Contest } from "./contest.ts";
import type { RelayDesk } from "./desk.ts";
import { refusal } from "./enrollment.ts";
import { FollowStream } from "./follow-stream.ts";
import { RELAY_LIMITS } from "./message-rules.ts";
import { RELAY_METHODS } from "./methods.ts";
import { addressOf, type RelayMetrics } from "./relay-metrics.ts";
import type { RelayAuthority } from "./relay-authority.ts";
import { MESSAGES } from "./session.ts";
import { SigningTurns } from "./signing-turns.ts";

/** Open streams; many clusters may share an address translation. */
const STREAMS = { total: 5_000, perAddress: 256 };
/** How often it is looked whether a fight for a cluster is over. */
const CONTEST_LOOK_MS = 60_000;

export interface FollowersOptions {
  readonly desk: RelayDesk;
  readonly authority: Pick<RelayAuthority, "roots">;
  readonly certificates: CertificateBook;
  readonly metrics: RelayMetrics;
}

/** Every stream of TrustRelay.Follow, of which each cluster has one. */
export class Followers {
  readonly #host: Host;
  readonly #options: FollowersOptions;
  readonly #log: Logger;
  readonly #turns: SigningTurns;
  readonly #contest: Contest;
  readonly #places = new Quota(STREAMS);
  readonly #messages: RateQuota;
  /** Open ones, those that have not said Hello among them. */
  readonly #streams = new Set<FollowStream>();
  readonly #byCluster = new Map<ClusterId, FollowStream>();
  /** Those for which two fight, until that is over. */
  readonly #contested = new Map<ClusterId, Disposable>();
  readonly #observing: readonly Disposable[];
  #refresh: Disposable | undefined;

  constructor(host: Host, options: FollowersOptions) {
    this.#host = host;
    this.#options = options;
    this.#log = host.log.scope("trust");
    this.#turns = new SigningTurns(host, options.desk);
    this.#contest = new Contest(host.clock);
    this.#messages = new RateQuota(host.clock, MESSAGES);
    const changed = (): void => this.#changed();
    this.#observing = [options.desk.observe(changed), options.certificates.observe(changed)];
    options.metrics.connected(0);
  }

  readonly method: StreamMethod = {
    kind: "stream",
    path: RELAY_METHODS.follow,
    requestBytesMax: RELAY_LIMITS.clusterMessageBytes,
    open: (channel) => this.#open(channel),
  };

  /** Ends what is under way; streams are the server's to end. */
  close(): void {
    for (const held of [...this.#observing, ...this.#contested.values()]) held[Symbol.dispose]();
    this.#refresh?.[Symbol.dispose]();
    this.#turns.close();
    for (const stream of this.#streams) stream.dispose();
  }

  async #open(channel: MessageChannel): Promise<MessageReceiver> {
    const { remoteAddress: from } = channel.credentials;
    let claimed = "";
    try {
      const proven = provenCluster(channel.credentials, this.#options.authority, this.#host.clock);
      claimed = proven.cluster;
      await this.#freshlyKnown(proven.cluster);
      const why = this.#whyNot(proven);
      if (why !== undefined) throw why;
      return this.#admit(channel, proven);
    } catch (thrown) {
      this.#refused(claimed, from, thrown);
      throw thrown;
    }
  }

  /** What is void is asked before a stream begins; while that cannot be asked, what was known last counts. */
  async #freshlyKnown(cluster: ClusterId): Promise<void> {
    try {
      await this.#options.certificates.voidBefore(cluster);
    } catch (thrown) {
      const why = MeshError.from(thrown).message;
      this.#log.warn("what is revoked cannot be asked; what was known last counts", { cluster, why });
    }
  }

  #admit(channel: MessageChannel, proven: ProvenCluster): MessageReceiver {
    const place = this.#places.take(addressOf(channel.credentials.remoteAddress));
    if (place === undefined)
      throw refusal("exhausted", "TooMany", "too many streams are open; this control plane may come back later");
    const stream = new FollowStream(this.#host, channel, proven, {
      greeted: (one, hello) => {
        this.#replace(one);
        this.#options.desk.connected(proven.cluster, hello, one.from);
        one.tell(this.#options.desk.wordFor(proven.cluster));
      },
      asked: async (one, request) => one.answer(await this.#turns.ask(proven.cluster, request)),
      reported: (report) => this.#options.desk.reported(proven.cluster, report),
      refused: (one, error) => this.#refused(proven.cluster, one.from, error),
      messages: this.#messages,
      whyEnd: () => this.#whyNot(proven) ?? whyExpired(proven, this.#host.clock.now()),
      closed: (one) => {
        place[Symbol.dispose]();
        this.#left(one);
      },
    });
    this.#streams.add(stream);
    return stream.receiver;
  }

  #replace(stream: FollowStream): void {
    const { cluster, from } = stream;
    const older = this.#byCluster.get(cluster);
    this.#byCluster.set(cluster, stream);
    this.#options.metrics.connected(this.#byCluster.size);
    this.#log.info("a cluster follows", { cluster, from });
    if (older === undefined) return;
    older.end(
      refusal("conflict", "Replaced", `a newer stream of cluster ${cluster}, from ${from}, took the place of this one`),
    );
    if (!this.#contest.took(cluster, older.from, from)) return;
    const why = this.#contest.whyContested(cluster);
    this.#log.warn("two control planes claim one cluster", { cluster, one: older.from, other: from });
    this.#options.desk.contested(cluster, why);
    this.#settleLater(cluster);
  }

  /** Tells once it is over. */
  #settleLater(cluster: ClusterId): void {
    this.#contested.get(cluster)?.[Symbol.dispose]();
    const timer = this.#host.clock.after(CONTEST_LOOK_MS, () => {
      if (this.#contest.whyContested(cluster) !== undefined) return this.#settleLater(cluster);
      this.#contested.delete(cluster);
      this.#options.desk.contested(cluster, undefined);
    });
    this.#contested.set(cluster, timer);
  }

  #left(stream: FollowStream): void {
    this.#streams.delete(stream);
    const { cluster, from } = stream;
    if (this.#byCluster.get(cluster) !== stream) return;
    this.#byCluster.delete(cluster);
    this.#options.metrics.connected(this.#byCluster.size);
    this.#log.info("a cluster left", { cluster, from });
    this.#options.desk.disconnected(cluster);
  }

  /** Once for all that changes at the same time. */
  #changed(): void {
    this.#refresh ??= this.#host.clock.after(0, () => {
      this.#refresh = undefined;
      for (const stream of [...this.#streams]) {
        stream.lookAgain();
        if (this.#byCluster.get(stream.cluster) === stream) stream.tell(this.#options.desk.wordFor(stream.cluster));
      }
    });
  }

  #whyNot(proven: ProvenCluster): MeshError | undefined {
    const voidBefore = this.#options.certificates.lastVoidBefore(proven.cluster);
    if (voidBefore === undefined)
      return new MeshError(
        "unavailable",
        "what is revoked could not be read yet; this control plane may come back later",
      );
    const revoked = whyVoid(proven, voidBefore);
    if (revoked !== undefined) return revoked;
    const why = this.#options.desk.whyNot(proven.cluster);
    return why === undefined ? undefined : refusal("denied", "NotRegistered", why);
  }

  #refused(cluster: string, from: string, thrown: unknown): void {
    const error = MeshError.from(thrown);
    this.#options.metrics.refused(error);
    this.#options.desk.refused(cluster, from, error.message);
  }
}

const whyExpired = ({ cluster, expiresAt }: ProvenCluster, now: number): MeshError | undefined =>
  now < expiresAt
    ? undefined
    : refusal(
        "unauthenticated",
        "NoCertificate",
        `the client certificate of cluster ${cluster} ended at ${new Date(expiresAt).toISOString()}; it comes back with a renewed one`,
      );
