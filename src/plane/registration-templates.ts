import { readFile } from "node:fs/promises";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { printable } from "../printable.ts";
import { parseManifest } from "../registry/embedded/manifest.ts";
import { readClusterSpiffeId, requireRegistrable, type ClusterSpiffeId } from "../registry/kube/cluster-spiffe-id.ts";
import { FieldError } from "../registry/kube/fields.ts";
import { metadataOf } from "../registry/kube/metadata.ts";

/** A hundred ClusterSPIFFEIDs are a tenth of it. */
const FILE_BYTES_MAX = 1024 * 1024;
/** A mounted ConfigMap takes a minute to change anyway. */
const LOOK_MS = 10_000;

/** A file of ClusterSPIFFEIDs, in YAML or JSON: it counts whole or not at all, and is followed. */
export class RegistrationTemplates {
  readonly #host: Host;
  readonly #path: string;
  readonly #cluster: ClusterId;
  readonly #onChange: (templates: readonly ClusterSpiffeId[]) => void;
  readonly #onTrouble: () => void;
  #text = "";
  #trouble: string | undefined;
  #look: Disposable | undefined;
  #closed = false;

  /** @param onTrouble called when `trouble` is another. */
  constructor(
    host: Host,
    path: string,
    cluster: ClusterId,
    onChange: (templates: readonly ClusterSpiffeId[]) => void,
    onTrouble: () => void,
  ) {
    this.#host = host;
    this.#path = path;
    this.#cluster = cluster;
    this.#onChange = onChange;
    this.#onTrouble = onTrouble;
  }

  /** Why what the file says now does not count; what it said before does then. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** @throws MeshError `invalid` for a file that cannot be read, naming the line and the field. */
  async open(): Promise<void> {
    await this.#read();
    this.#lookLater();
  }

  close(): void {
    this.#closed = true;
    this.#look?.[Symbol.dispose]();
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#look = this.#host.clock.after(LOOK_MS, () => void this.#lookAgain());
  }

  async #lookAgain(): Promise<void> {
    const before = this.#trouble;
    try {
      await this.#read();
      this.#trouble = undefined;
    } catch (thrown) {
      this.#trouble = messageOf(thrown);
    }
    if (!this.#closed && before !== this.#trouble) this.#onTrouble();
    this.#lookLater();
  }

  async #read(): Promise<void> {
    const text = await textOf(this.#path);
    if (this.#closed || text === this.#text) return;
    const templates = parseTemplates(text, this.#path, this.#cluster);
    this.#text = text;
    this.#onChange(templates);
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    throw new MeshError("invalid", `--spire-register: ${path} cannot be read: ${messageOf(thrown)}`);
  }
}

/** @throws MeshError `invalid`, naming the line and the field. */
export function parseTemplates(text: string, path: string, cluster: ClusterId): readonly ClusterSpiffeId[] {
  const refuse = (why: string, line?: number): never => {
    throw new MeshError("invalid", `${path}${line === undefined ? "" : `:${line}`}: ${why}`);
  };
  if (text.length > FILE_BYTES_MAX) return refuse(`it is longer than ${FILE_BYTES_MAX} bytes`);
  const { objects, faults } = parseManifest(text);
  for (const { line, reason } of faults) refuse(reason, line);
  if (objects.length === 0) return refuse("it holds no ClusterSPIFFEID; to register nothing use --spire-register off");
  const names = new Set<string>();
  return objects.map(({ object, line }) => {
    const { kind, apiVersion, metadata } = object;
    const what = `${kind} ${metadata.name}`;
    if (kind !== "ClusterSPIFFEID" || apiVersion !== "spire.spiffe.io/v1alpha1")
      return refuse(`${printable(what, 120)} is no ClusterSPIFFEID of spire.spiffe.io/v1alpha1; take it out`, line);
    if (names.has(metadata.name)) return refuse(`${what} is there twice; keep one of them`, line);
    names.add(metadata.name);
    try {
      const spiffeId = readClusterSpiffeId(metadataOf(metadata, cluster, `${path}:${line}`, true), object);
      requireRegistrable(spiffeId);
      return spiffeId;
    } catch (thrown) {
      if (!(thrown instanceof FieldError)) throw thrown;
      return refuse(`${what}: ${thrown.field} ${thrown.message}`, line);
    }
  });
}
