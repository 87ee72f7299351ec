import type { Quota } from "../ca/quota.ts";
import { MeshError } from "../errors.ts";
import type { MessageChannel, MessageReceiver } from "../grpc/method.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { ProvenCluster } from "./client-proof.ts";
import type { ClusterReport, Hello, IntermediateRequest, ManagerMessage } from "./messages.ts";
import { RELAY_PING_MS } from "./methods.ts";
import { RelaySession, type Said, type Word } from "./session.ts";
import { decodeClusterMessage, encodeManagerMessage } from "./wire.ts";

/** Whether it lives and may live is looked at this often. */
const LOOK_MS = RELAY_PING_MS / 4;

/** What one stream tells its owner, and asks of it. */
export interface FollowStreamOwner {
  greeted(stream: FollowStream, hello: Hello): void;
  asked(stream: FollowStream, request: IntermediateRequest): Promise<void>;
  reported(report: ClusterReport): void;
  /** It ends for what the cluster did or is. */
  refused(stream: FollowStream, error: MeshError): void;
  /** Of the cluster, whichever of its streams they come by. */
  readonly messages: Quota;
  /** Why it may not go on. */
  whyEnd(): MeshError | undefined;
  closed(stream: FollowStream): void;
}

/** Carries one session over its gRPC stream. */
export class FollowStream {
  /** With the port. */
  readonly from: string;
  readonly cluster: ClusterId;
  readonly #host: Host;
  readonly #channel: MessageChannel;
  readonly #session: RelaySession;
  readonly #owner: FollowStreamOwner;
  #timer: Disposable;
  #roomy = true;
  #ended = false;

  constructor(host: Host, channel: MessageChannel, { cluster }: ProvenCluster, owner: FollowStreamOwner) {
    this.#host = host;
    this.#channel = channel;
    this.cluster = cluster;
    this.from = channel.credentials.remoteAddress;
    this.#owner = owner;
    this.#session = new RelaySession(host.clock, cluster, owner.messages);
    this.#timer = host.clock.after(LOOK_MS, () => this.#look());
    channel.sendHeaders();
  }

  readonly receiver: MessageReceiver = {
    message: (bytes) => this.#guard(() => this.#received(bytes)),
    writable: () => {
      this.#roomy = true;
      this.#pump();
    },
    closed: () => {
      this.dispose();
      this.#owner.closed(this);
    },
  };

  /** What the cluster is to be told now. */
  tell(word: Word | undefined): void {
    this.#session.tell(word);
    this.#pump();
  }

  answer(message: ManagerMessage): void {
    if (this.#ended) return;
    this.#guard(() => {
      this.#session.answer(message);
      this.#pump();
    });
  }

  /** Ends it if it may not go on, or is dead. */
  lookAgain(): void {
    const why = this.#owner.whyEnd() ?? this.#session.whyDead();
    if (why !== undefined) this.#fail(why);
  }

  /** Ends it with a sentence; nobody is told. */
  end(error: MeshError): void {
    this.dispose();
    this.#channel.end(error);
  }

  /** Stops its clock. */
  dispose(): void {
    this.#ended = true;
    this.#timer[Symbol.dispose]();
  }

  #received(bytes: Uint8Array): void {
    const said = this.#session.take(decodeClusterMessage(bytes));
    if (said !== undefined) this.#act(said);
  }

  #act(said: Said): void {
    if (said.kind === "hello") this.#owner.greeted(this, said.hello);
    else if (said.kind === "report") this.#owner.reported(said.report);
    else void this.#owner.asked(this, said.request);
  }

  #pump(): void {
    while (this.#roomy && !this.#ended) {
      const next = this.#session.poll();
      if (next === undefined) return;
      this.#roomy = this.#channel.send([this.#encoded(next)]);
    }
  }

  /** What breaks our own rules is no reason to leave the cluster without a word. */
  #encoded(message: ManagerMessage): Uint8Array {
    try {
      return encodeManagerMessage(message);
    } catch (thrown) {
      const { message: why } = MeshError.from(thrown);
      const { cluster } = this;
      this.#host.log.scope("trust").error("what a cluster is to be told breaks the relay's rules", { cluster, why });
      const id = message.kind === "certificate" ? message.id : "";
      return encodeManagerMessage({ kind: "refusal", id, code: "internal", reason: why, retryAfterMs: 0 });
    }
  }

  #look(): void {
    this.lookAgain();
    if (this.#ended) return;
    this.#pump();
    this.#timer = this.#host.clock.after(LOOK_MS, () => this.#look());
  }

  #guard(step: () => void): void {
    if (this.#ended) return;
    try {
      step();
    } catch (thrown) {
      if (!(thrown instanceof MeshError)) throw thrown;
      this.#fail(thrown);
    }
  }

  #fail(error: MeshError): void {
    if (this.#ended) return;
    this.#owner.refused(this, error);
    this.end(error);
  }
}
