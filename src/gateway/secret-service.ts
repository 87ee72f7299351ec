import type { MessageChannel, StreamMethod } from "../grpc/method.ts";
import type { Host } from "../host.ts";
import { ResourceLog } from "../xds/resource-log.ts";
import { toResource } from "../xds/wire.ts";
import { DeltaSecretStream, type SecretStore, type SecretStream, SotwSecretStream } from "./secret-streams.ts";
import type { EncodedSecret } from "./secrets.ts";

const SERVICE = "/envoy.service.secret.v3.SecretDiscoveryService";
const REQUEST_BYTES_MAX = 64 * 1024;

/**
 * Hands our Envoy its secrets, and each new one as soon as it is there: connections that are open stay as they are. Who
 * can open the socket gets them; it opens no socket itself.
 */
export class SecretService {
  readonly #store: SecretStore;
  readonly #log = new ResourceLog();
  readonly #secrets = new Map<string, EncodedSecret>();
  readonly #streams = new Set<SecretStream>();

  constructor(host: Host) {
    this.#store = {
      clock: host.clock,
      logger: host.log.scope("gateway"),
      log: this.#log,
      secret: (name) => this.#secrets.get(name),
    };
  }

  /** Replaces the secret of this name. */
  set(secret: EncodedSecret): void {
    const { name, typeUrl, body, version } = secret;
    this.#secrets.set(name, secret);
    this.#log.append([{ name, after: toResource(typeUrl, name, body, version) }]);
    for (const stream of this.#streams) stream.changed();
  }

  methods(): readonly StreamMethod[] {
    return [
      this.#method("DeltaSecrets", (channel) => new DeltaSecretStream(this.#store, channel)),
      this.#method("StreamSecrets", (channel) => new SotwSecretStream(this.#store, channel)),
    ];
  }

  #method(name: string, streamOf: (channel: MessageChannel) => SecretStream): StreamMethod {
    const open = (channel: MessageChannel): Promise<SecretStream> => {
      channel.sendHeaders();
      const stream = streamOf(channel);
      this.#streams.add(stream);
      return Promise.resolve({
        message: (bytes) => stream.message(bytes),
        changed: () => stream.changed(),
        writable: () => stream.writable(),
        closed: () => {
          this.#streams.delete(stream);
          stream.closed();
        },
      });
    };
    return { kind: "stream", path: `${SERVICE}/${name}`, requestBytesMax: REQUEST_BYTES_MAX, open };
  }
}
