import { MeshError } from "../errors.ts";
import type { MessageChannel, MessageReceiver } from "../grpc/method.ts";
import type { Clock, Logger } from "../host.ts";
import { printable } from "../printable.ts";
import { DeltaSession } from "../xds/delta-session.ts";
import { SECRET_TYPE } from "../xds/resource.ts";
import type { ResourceLog } from "../xds/resource-log.ts";
import { decodeDeltaRequest, decodeDiscoveryRequest, encodeDebugAnswer, encodeDeltaResponse } from "../xds/wire.ts";
import type { EncodedSecret } from "./secrets.ts";

/** What every stream of secrets reads. */
export interface SecretStore {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: ResourceLog;
  secret(name: string): EncodedSecret | undefined;
}

/** A stream of our Envoy. */
export interface SecretStream extends MessageReceiver {
  /** Some secret is another. */
  changed(): void;
}

const SERVER = "causeway gateway";
const LIMITS = { responseBytesMax: 1024 * 1024, subscribedNamesMax: 100 };

/** Logged for each answer: a secret that Envoy does not take is an outage to come. */
function noteAnswer(logger: Logger, nonce: string, rejection: string | undefined): void {
  if (nonce === "") return;
  if (rejection === undefined) logger.debug("Envoy took its secrets", { nonce });
  else logger.error(`Envoy refused a secret: ${printable(rejection, 1024)}`, { nonce });
}

function checkType(typeUrl: string): void {
  if (typeUrl !== "" && typeUrl !== SECRET_TYPE)
    throw new MeshError(
      "unsupported",
      `only secrets are served on this socket, and ${printable(typeUrl, 200)} is none`,
    );
}

/** Incremental: what Envoy speaks where its source is DELTA_GRPC. */
export class DeltaSecretStream implements SecretStream {
  readonly #store: SecretStore;
  readonly #channel: MessageChannel;
  readonly #session: DeltaSession;

  constructor(store: SecretStore, channel: MessageChannel) {
    this.#store = store;
    this.#channel = channel;
    let nonce = 0;
    const nextNonce = () => `${(nonce += 1)}`;
    const options = { typeUrl: SECRET_TYPE, nodeName: "", limits: LIMITS, nextNonce };
    this.#session = new DeltaSession(store.log, store.clock, options);
  }

  message(bytes: Uint8Array): void {
    const request = decodeDeltaRequest(bytes);
    checkType(request.typeUrl);
    noteAnswer(this.#store.logger, request.nonce, request.rejection);
    this.#session.receive(request);
    this.changed();
  }

  changed(): void {
    const response = this.#session.poll();
    if (response !== undefined) this.#channel.send(encodeDeltaResponse(response, SERVER));
  }

  writable(): void {}

  closed(): void {
    this.#session.close();
  }
}

/** State of the world: what Envoy speaks where its source is GRPC. A response holds all that is asked for and there. */
export class SotwSecretStream implements SecretStream {
  readonly #store: SecretStore;
  readonly #channel: MessageChannel;
  #names: readonly string[] = [];
  /** Of what was sent last, and whether it waits for its answer. */
  #sent = "";
  #nonce = 0;
  #waiting = false;

  constructor(store: SecretStore, channel: MessageChannel) {
    this.#store = store;
    this.#channel = channel;
  }

  message(bytes: Uint8Array): void {
    const { typeUrl, names, nonce, rejection } = decodeDiscoveryRequest(bytes);
    checkType(typeUrl);
    noteAnswer(this.#store.logger, nonce, rejection);
    if (names.length > LIMITS.subscribedNamesMax) throw new MeshError("exhausted", "more names than there are secrets");
    // An answer to what is not the last response says nothing about it.
    if (nonce !== "" && nonce !== `${this.#nonce}`) return;
    this.#waiting = false;
    this.#names = names;
    this.changed();
  }

  changed(): void {
    if (this.#waiting) return;
    const resources = this.#names.flatMap((name) => this.#store.secret(name) ?? []);
    const sent = JSON.stringify(resources.map(({ name, version }) => [name, version]));
    if (resources.length === 0 || sent === this.#sent) return;
    this.#sent = sent;
    this.#waiting = true;
    this.#nonce += 1;
    this.#channel.send([encodeDebugAnswer({ typeUrl: SECRET_TYPE, nonce: `${this.#nonce}`, resources }, SERVER)]);
  }

  writable(): void {}
  closed(): void {}
}
