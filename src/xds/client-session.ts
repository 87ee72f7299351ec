import type { Caller } from "../caller.ts";
import type { ClientBehind } from "../change-watch.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { MessageChannel, MessageReceiver } from "../grpc/method.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { ClientStatus } from "./client-status.ts";
import { ClientStream, type StreamLimits } from "./client-stream.ts";
import { type DebugAnswers, DebugResponder, isDebugType } from "./debug-type.ts";
import { checkType, noControlPlane, noProxy } from "./for-whom.ts";
import type { GatewayGate, GatewayVisit, GatewayVisitor } from "./gateway-gate.ts";
import { checkNodeIdentity } from "./identity-check.ts";
import type { PeerGate, PeerLogs, PeerProof, PeerVisit, PeerVisitor } from "./peer-gate.ts";
import { printable } from "../printable.ts";
import type { ClientNode, DeltaRequest, DeltaResponse, Holding, Resource, TypeUrl } from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";
import { decodeDeltaRequest, encodeDeltaDebugAnswer, encodeDeltaResponse } from "./wire.ts";
import { shortTypeName, type XdsMetrics } from "./xds-metrics.ts";

/** What moves at least between two looks at a connection that carries more than pings. */
const PROGRESS_BYTES = 64 * 1024;

/** Of a peer: small, so that it can have us wait between two, and a slow one holds little. */
const PEER_LIMITS = { responseBytesMax: 4 * 1024 * 1024 } as const;

/** Until somebody who may not read the mesh has said that it is a Gateway's proxy. */
const BARRED_MS = 10_000;

/** Whose stream it is: of a client of the mesh, if anybody has proven anything, or of another control plane. */
export type Guest = ClientGuest | { readonly peer: { readonly gate: PeerGate; readonly proof: PeerProof } };

interface ClientGuest {
  readonly peer?: undefined;
  readonly caller: Caller | undefined;
  /** Lets it in if it is a Gateway's proxy. */
  readonly gateways?: GatewayGate | undefined;
  /** Why it may not read the mesh, which no proxy needs. */
  readonly barred?: MeshError | undefined;
}

/** What every stream of a server shares. */
export interface SessionSurroundings {
  readonly host: Host;
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;
  readonly metrics: XdsMetrics;
  readonly debug: DebugAnswers;
  /** What istioctl shows as the control plane: JSON with Component, ID and Info.version. */
  readonly controlPlane: string;
  readonly limits: Partial<StreamLimits>;
  /** Has the session served soon. */
  wake(session: ClientSession): void;
  left(session: ClientSession): void;
}

/** One delta stream: its messages to the state machine, and what that gives to the wire. */
export class ClientSession implements MessageReceiver, PeerVisitor, GatewayVisitor {
  readonly #shared: SessionSurroundings;
  readonly #channel: MessageChannel;
  readonly #guest: Guest;
  /** Of a peer, once it has been let in. */
  #visit: PeerVisit | undefined;
  /** Of a Gateway's proxy, once it has been let in. */
  #proxy: GatewayVisit | undefined;
  /** Until a peer may be sent more, or who is barred has to have said more. */
  #pause: Disposable | undefined;
  #welcomed = false;
  readonly #stream: ClientStream;
  readonly #log: Logger;
  readonly #connectedAt: EpochMs;
  readonly #debug: DebugResponder;
  #blocked = false;
  /** What the connection had written when last looked at, and when that was seen to have grown. */
  #bytesWritten = 0;
  #progressMs = 0;
  #over = false;
  /** Since when a change waits to be told, by `elapsedMs`. */
  #changeWaitsSinceMs: number | undefined;

  constructor(
    readonly id: string,
    channel: MessageChannel,
    guest: Guest,
    shared: SessionSurroundings,
  ) {
    this.#shared = shared;
    this.#channel = channel;
    this.#guest = guest;
    this.#debug = new DebugResponder(shared.debug, this.#client?.caller);
    this.#log = shared.host.log.scope("delta");
    this.#connectedAt = shared.host.clock.now();
    this.#stream = new ClientStream(shared.logs, shared.host.clock, {
      id,
      limits: shared.limits,
      onWake: () => shared.wake(this),
      lastProgressMs: () => this.#lastProgressMs(),
      onExpired: (error) => this.#end(error, "unanswered"),
    });
    const barred = this.#client?.barred;
    if (barred !== undefined) this.#pause = shared.host.clock.after(BARRED_MS, () => this.#end(barred, "denied"));
  }

  message(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#shared.metrics.received(bytes.length);
    try {
      this.#receive(decodeDeltaRequest(bytes));
    } catch (thrown) {
      if (!(thrown instanceof MeshError)) this.#noteDefect(thrown);
      const error = MeshError.from(thrown);
      this.#end(error, error === this.#client?.barred ? "denied" : "refused");
    }
  }

  writable(): void {
    this.#blocked = false;
    this.#progressMs = this.#shared.host.clock.elapsedMs();
    this.#shared.wake(this);
  }

  closed(): void {
    this.#leave("the client left");
  }

  /** Says that the logs have changed. */
  changed(): void {
    this.#changeWaitsSinceMs ??= this.#shared.host.clock.elapsedMs();
    this.#shared.wake(this);
  }

  /** Sends what there is to send, as far as the socket takes it. */
  serve(): void {
    if (this.#over) return;
    while (!this.#blocked && !this.#paused()) {
      const startedMs = this.#shared.host.clock.elapsedMs();
      const response = this.#stream.poll();
      if (response === undefined) break;
      this.#send(response, startedMs);
    }
    if (this.#stream.caughtUp) this.#changeWaitsSinceMs = undefined;
    const { changes } = this.#shared.host;
    if (changes !== undefined) for (const at of this.#stream.served()) changes.served(this.id, ...at);
  }

  *behind(): Iterable<ClientBehind> {
    const name = this.#stream.facts?.name ?? this.id;
    for (const [typeUrl, target] of this.#stream.behind()) yield { client: this.id, name, typeUrl, target };
  }

  follow(logs: PeerLogs): void {
    if (this.#over) return;
    this.#followPeerLogs(logs);
    this.#shared.wake(this);
  }

  rejected(typeUrl: TypeUrl): ReadonlyMap<string, string> {
    return this.#stream.rejected(typeUrl);
  }

  expel(error: MeshError): void {
    this.#end(error, "expelled");
  }

  status(): ClientStatus {
    return {
      id: this.id,
      remoteAddress: this.#channel.credentials.remoteAddress,
      connectedAt: this.#connectedAt,
      identity: this.#caller?.identity,
      via: this.#caller?.via,
      cluster: this.#caller?.cluster ?? "",
      node: this.#stream.node,
      subscriptions: this.#stream.status(),
    };
  }

  holdings(): ReadonlyMap<TypeUrl, Iterable<Holding>> {
    return this.#stream.holdings();
  }

  #receive(request: DeltaRequest): void {
    if (isDebugType(request.typeUrl) && this.#client !== undefined && this.#client.barred === undefined) {
      void this.#answerDebug(request);
      return;
    }
    if (this.#stream.node === undefined) this.#welcome(request);
    checkType(request.typeUrl, this.#visit?.logs, this.#proxy);
    const strays = this.#stream.strayNonces;
    this.#stream.receive(request);
    if (this.#stream.strayNonces > strays) this.#shared.metrics.expiredNonce(request.typeUrl);
    else if (request.nonce !== "") this.#noteAnswer(request);
    this.serve();
  }

  #welcome(request: DeltaRequest): void {
    this.#stream.identify(request.node);
    const node = this.#stream.node!;
    if (this.#guest.peer !== undefined) this.#enter(this.#guest.peer, node);
    else this.#admit(this.#guest, node);
    this.#welcomed = true;
    this.#shared.metrics.connected(node, 1);
    this.#log.info("client connected", { ...this.#who(), holds: request.initialVersions.size });
  }

  #admit({ caller, gateways, barred }: ClientGuest, node: ClientNode): void {
    const { type } = this.#stream.facts!;
    if (type === "istiod") throw noControlPlane();
    if (type !== "waypoint") {
      if (barred !== undefined) throw barred;
      if (caller !== undefined) checkNodeIdentity(node, caller);
      return;
    }
    if (caller === undefined || gateways === undefined) throw noProxy("the configuration of a Gateway");
    this.#proxy = gateways.enter(caller, node, this);
    this.#stream.serveProxy(this.#proxy.logs);
    this.#pause?.[Symbol.dispose]();
  }

  #enter({ gate, proof }: { readonly gate: PeerGate; readonly proof: PeerProof }, node: ClientNode): void {
    if (this.#stream.facts!.type !== "istiod") {
      const message = `${formatServiceAccountId(proof.identity)} is a control plane's: node.id must begin with istiod~`;
      throw new MeshError("denied", message, { reason: "NotAPeer" });
    }
    this.#visit = gate.enter(proof, node, this);
    this.#followPeerLogs(this.#visit.logs);
  }

  #followPeerLogs(logs: PeerLogs): void {
    const marker = (digest: string): Resource => this.#visit!.marker(digest);
    this.#stream.follow(logs, marker, { ...PEER_LIMITS, ...this.#shared.limits });
  }

  /** True while a peer has used up its share of bytes, until the rate admits more. */
  #paused(): boolean {
    const waitMs = this.#visit?.waitMs() ?? 0;
    if (waitMs === 0) return false;
    this.#pause ??= this.#shared.host.clock.after(waitMs, () => {
      this.#pause = undefined;
      this.#shared.wake(this);
    });
    return true;
  }

  /** One client's bad luck must not be everybody's: its stream ends, and the log says where to look. */
  #noteDefect(thrown: unknown): void {
    this.#shared.metrics.internalError();
    const where = thrown instanceof Error ? thrown.stack : undefined;
    this.#log.error("a defect ended a stream", { ...this.#who(), why: messageOf(thrown), where });
  }

  #noteAnswer({ typeUrl, rejection }: DeltaRequest): void {
    this.#proxy?.answered(typeUrl);
    if (rejection === undefined) return;
    this.#shared.metrics.rejected(typeUrl);
    this.#shared.host.changes?.refused(this.id);
    const reason = printable(rejection, 1024);
    this.#log.warn("NACK", { ...this.#who(), type: shortTypeName(typeUrl), reason });
  }

  async #answerDebug({ typeUrl, subscribe, nonce }: DeltaRequest): Promise<void> {
    try {
      const answer = await this.#debug.answer({ typeUrl, names: subscribe, nonce });
      if (answer !== undefined && !this.#over)
        this.#channel.send([encodeDeltaDebugAnswer(answer, this.#shared.controlPlane)]);
    } catch (thrown) {
      this.#end(MeshError.from(thrown), "refused");
    }
  }

  /** @param startedMs when the response was begun. */
  #send(response: DeltaResponse, startedMs: number): void {
    const { metrics, controlPlane, host } = this.#shared;
    const madeMs = host.clock.elapsedMs();
    if (this.#changeWaitsSinceMs !== undefined) metrics.queued(madeMs - this.#changeWaitsSinceMs);
    this.#bytesWritten = this.#channel.bytesWritten;
    const told = host.changes?.sent(this.id, response.typeUrl, this.#stream.positionIn(response.typeUrl));
    const parents = this.#visit === undefined ? undefined : told;
    this.#blocked = !this.#channel.send(encodeDeltaResponse(response, controlPlane, parents));
    this.#visit?.sent(response.recordsBytes);
    metrics.pushed(response.typeUrl, response.recordsBytes);
    const sentMs = host.clock.elapsedMs();
    metrics.took(response.typeUrl, sentMs - startedMs, sentMs - madeMs);
    if (this.#changeWaitsSinceMs !== undefined) metrics.converged(sentMs - this.#changeWaitsSinceMs);
    if (!this.#log.enabled("debug")) return;
    const { resources, removed, recordsBytes, nonce } = response;
    const type = shortTypeName(response.typeUrl);
    this.#log.debug("push", { client: this.id, type, resources, removed: removed.length, bytes: recordsBytes, nonce });
  }

  /** `writable` comes only once all of a response is written, minutes later for a large one on a slow link. */
  #lastProgressMs(): number {
    const written = this.#channel.bytesWritten;
    if (this.#blocked && written - this.#bytesWritten >= PROGRESS_BYTES)
      this.#progressMs = this.#shared.host.clock.elapsedMs();
    this.#bytesWritten = written;
    return this.#progressMs;
  }

  #end(error: MeshError, reason: string): void {
    if (this.#over) return;
    this.#shared.metrics.shed(reason);
    this.#leave(error.message);
    this.#channel.end(error);
  }

  #leave(why: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.close();
    this.#pause?.[Symbol.dispose]();
    this.#visit?.leave();
    this.#proxy?.leave();
    this.#shared.left(this);
    this.#shared.host.changes?.left(this.id);
    if (this.#welcomed) this.#shared.metrics.connected(this.#stream.node!, -1);
    if (this.#welcomed) this.#log.info("client gone", { ...this.#who(), why });
    // Peers and proxies that are refused come again and again; their gates say so once.
    else if (this.#guest.peer !== undefined || this.#stream.facts?.type === "waypoint")
      this.#log.debug("client left unserved", { ...this.#who(), why });
    else
      this.#log[this.#client?.barred === undefined ? "info" : "warn"]("client left unserved", { ...this.#who(), why });
  }

  /** Who has proven to be there; of a peer, once it was let in. */
  get #caller(): Caller | undefined {
    return this.#visit?.caller ?? this.#client?.caller;
  }

  get #client(): ClientGuest | undefined {
    return this.#guest.peer === undefined ? this.#guest : undefined;
  }

  #who(): Record<string, string | undefined> {
    return {
      client: this.id,
      node: this.#stream.facts?.name,
      identity: this.#caller && formatServiceAccountId(this.#caller.identity),
      cluster: this.#caller?.cluster,
      address: this.#channel.credentials.remoteAddress,
    };
  }
}
