import { readFile } from "node:fs/promises";
import { readCertificate } from "../ca/certificate-fields.ts";
import { toPem, wholePemBlocks } from "../pem.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";

/** A kubelet takes a minute or so to bring a ConfigMap's change; reading some kilobytes costs nothing. */
export const ROOT_LOOK_MS = 5_000;

/**
 * The roots that the mesh is to trust, as the control plane puts them into each namespace. What cannot be read takes
 * nothing away: the roots before it count, and the log says so.
 */
export class RootFile {
  readonly path: string;
  readonly #host: Host;
  readonly #log: Logger;
  readonly #onChange: (roots: string) => void;
  #roots: string | undefined;
  #failure: string | undefined;
  #timer: Disposable | undefined;
  #closed = false;

  /** @param onChange called with the roots in PEM, at first and after each change. */
  constructor(host: Host, path: string, onChange: (roots: string) => void) {
    this.#host = host;
    this.#log = host.log.scope("gateway");
    this.path = path;
    this.#onChange = onChange;
  }

  /** In PEM. @throws MeshError with what is wrong with the file, while none could be read. */
  get roots(): string {
    if (this.#roots !== undefined) return this.#roots;
    throw new MeshError("absent", this.whyNone()!);
  }

  /** True once some could be read. */
  get known(): boolean {
    return this.#roots !== undefined;
  }

  /** Why none are known; undefined once they are. */
  whyNone(): string | undefined {
    return this.known ? undefined : (this.#failure ?? `${this.path} was not read yet`);
  }

  /** Reads the file, now and every few seconds. */
  async follow(): Promise<void> {
    await this.#look();
    if (!this.#closed) this.#timer = this.#host.clock.after(ROOT_LOOK_MS, () => void this.follow());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    const text = await readRoots(this.path).catch((thrown: unknown) => {
      this.#tell(`the root file ${this.path} cannot be used: ${reasonOf(thrown)}`);
    });
    if (text === undefined || this.#closed) return;
    const { known } = this;
    if (this.#failure !== undefined) this.#log.info("the root file can be read again", { file: this.path });
    this.#failure = undefined;
    if (text === this.#roots) return;
    this.#roots = text;
    if (known) this.#log.info("the roots have changed", { file: this.path });
    this.#onChange(text);
  }

  /** Once for each failure. */
  #tell(failure: string): void {
    if (failure === this.#failure) return;
    this.#failure = failure;
    const consequence = this.#roots === undefined ? "nobody can be trusted" : "the roots before it stay in use";
    this.#log.error(`${failure}; ${consequence}`);
  }
}

/** Written anew: of certificates without a line end between them OpenSSL reads none, and what is around them is no root. */
async function readRoots(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  const blocks = wholePemBlocks(text, "CERTIFICATE");
  if (blocks.length === 0) throw new MeshError("invalid", "it holds no certificate in PEM");
  for (const block of blocks) readCertificate(block);
  return blocks.map((block) => toPem("CERTIFICATE", block)).join("");
}

function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT")
    return "there is none; mount the ConfigMap istio-ca-root-cert there, or name the file with --root";
  return messageOf(thrown);
}
