import { messageOf, MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import { pemBlocks } from "../pem.ts";
import type { ObjectFeed } from "./feeds/object-feed.ts";
import type { EffectivePolicy, ObjectName } from "./policy.ts";

const READ_EVERY_MS = 30_000;

/** What a policy wants trusted beside its source, in itself and in Secrets, which are read again and again. */
export class PassiveRoots {
  readonly #host: Host;
  readonly #feed: Pick<ObjectFeed, "secret">;
  readonly #onRoots: () => void;
  readonly #stop = new AbortController();
  #wanted: Pick<EffectivePolicy, "passiveRoots" | "passiveSecrets"> | undefined;
  #read: readonly Uint8Array[] | undefined;
  #trouble: string | undefined;
  #timer: Disposable | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(host: Host, feed: Pick<ObjectFeed, "secret">, onRoots: () => void) {
    this.#host = host;
    this.#feed = feed;
    this.#onRoots = onRoots;
  }

  /** In DER. Undefined until all of them were read once: fewer would look as if some had been taken out. */
  get roots(): readonly Uint8Array[] | undefined {
    if (this.#wanted === undefined) return undefined;
    return this.#read && [...this.#wanted.passiveRoots, ...this.#read];
  }
  get trouble(): string | undefined {
    return this.#trouble;
  }

  want(policy: Pick<EffectivePolicy, "passiveRoots" | "passiveSecrets">): void {
    const same = JSON.stringify(this.#wanted?.passiveSecrets) === JSON.stringify(policy.passiveSecrets);
    this.#wanted = policy;
    if (policy.passiveSecrets.length === 0) this.#read = [];
    if (!same) this.read();
  }

  read(): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#stop.signal.aborted || this.#wanted === undefined || this.#wanted.passiveSecrets.length === 0) return;
    this.#reading = this.#reading.then(() => this.#readOnce());
  }

  close(): Promise<void> {
    this.#stop.abort();
    this.#timer?.[Symbol.dispose]();
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    const { passiveSecrets: names } = this.#wanted!;
    try {
      const found = await Promise.all(names.map((name) => this.#rootsIn(name)));
      if (names === this.#wanted?.passiveSecrets) this.#read = found.flat();
      this.#trouble = undefined;
    } catch (thrown) {
      this.#trouble = messageOf(thrown);
    }
    if (this.#stop.signal.aborted) return;
    this.#timer = this.#host.clock.after(READ_EVERY_MS, () => this.read());
    this.#onRoots();
  }

  async #rootsIn(name: ObjectName): Promise<readonly Uint8Array[]> {
    const title = `Secret ${name.namespace}/${name.name}`;
    const found = await this.#feed.secret(name, this.#stop.signal);
    const where = "which passiveCertificateAuthorities names";
    if (found === "absent") throw new MeshError("absent", `${title}, ${where}, is not there; make it, or name another`);
    const text = found.get("root-cert.pem") ?? found.get("ca.crt") ?? found.get("tls.crt") ?? "";
    const roots = pemBlocks(text, "CERTIFICATE");
    if (roots.length > 0) return roots;
    throw new MeshError("invalid", `${title}, ${where}, holds no certificate in root-cert.pem, ca.crt or tls.crt`);
  }
}
