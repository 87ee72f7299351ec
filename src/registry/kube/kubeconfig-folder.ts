import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Clock, Host, Logger } from "../../host.ts";
import { KUBECONFIG_CHARS_MAX, type KubeconfigSource, type KubeconfigText } from "./cluster-claims.ts";
import type { RemoteClusters } from "./remote-clusters.ts";

/** A kubelet swaps mounted files by links, which no watch of the file system reports: they are looked at instead. */
const LOOK_EVERY_MS = 500;

/**
 * The other source of remote clusters: a folder (`PILOT_MULTICLUSTER_KUBECONFIG_PATH`) with a kubeconfig for each, as
 * `west.yaml` or `west.yml` for the cluster `west`. Where there is such a folder, it stands in place of the secrets.
 */
export class KubeconfigFolder {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #folder: string;
  readonly #clusters: Pick<RemoteClusters<unknown>, "offer" | "withdraw" | "listed">;
  /** How each file looked when it was read last. */
  readonly #seen = new Map<string, string>();
  #looking: Promise<void> | undefined;
  #timer: Disposable | undefined;
  #trouble = "";
  #stopped = false;

  constructor(host: Host, folder: string, clusters: Pick<RemoteClusters<unknown>, "offer" | "withdraw" | "listed">) {
    this.#clock = host.clock;
    this.#log = host.log.scope("remote");
    this.#folder = folder;
    this.#clusters = clusters;
  }

  /** Looks at once, and from then on twice a second. */
  start(): void {
    void this.look().then(() => {
      if (!this.#stopped) this.#timer = this.#clock.after(LOOK_EVERY_MS, () => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    await this.#looking;
  }

  /** Takes what has changed; never rejects. Two looks do not overlap: the second is the first. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const names = (await readdir(this.#folder)).filter((name) => /^[^.].*\.ya?ml$/i.test(name)).sort();
      for (const name of names) await this.#lookAt(name);
      // Only a folder that could be listed says that a file is gone.
      for (const name of [...this.#seen.keys()]) if (!names.includes(name)) this.#gone(name);
      if (this.#trouble !== "") this.#log.info("the folder of kubeconfigs can be read again", { folder: this.#folder });
      this.#trouble = "";
      if (!this.#stopped) this.#clusters.listed();
    } catch (error) {
      const trouble = messageOf(error);
      if (trouble !== this.#trouble)
        this.#log.warn(`kubeconfigs cannot be listed, so what was read of them stays: ${trouble}`, {
          folder: this.#folder,
        });
      this.#trouble = trouble;
    }
  }

  async #lookAt(name: string): Promise<void> {
    const before = this.#seen.get(name);
    const now = await readIfChanged(join(this.#folder, name), before);
    if (this.#stopped || now === undefined) return;
    if (now === "gone") return this.#gone(name);
    this.#seen.set(name, now.appearance);
    const cluster = name.replace(/\.ya?ml$/i, "");
    const event = before === undefined ? "add" : "update";
    this.#clusters.offer(this.#sourceOf(name), new Map([[cluster, now.said]]), event);
  }

  #gone(name: string): void {
    if (!this.#stopped && this.#seen.delete(name)) this.#clusters.withdraw(this.#sourceOf(name).name);
  }

  #sourceOf(name: string): KubeconfigSource {
    const path = join(this.#folder, name);
    return { name: path, object: `Kubeconfig ${path}`, fieldOf: () => "" };
  }
}

interface Look {
  readonly appearance: string;
  readonly said: KubeconfigText;
}

/** @returns undefined if it looks as it did `before`. */
async function readIfChanged(path: string, before: string | undefined): Promise<Look | "gone" | undefined> {
  const refused = (appearance: string, why: string): Look | undefined =>
    appearance === before ? undefined : { appearance, said: { refused: why } };
  try {
    const found = await stat(path, { bigint: true });
    const appearance = `${found.ino} ${found.mtimeNs} ${found.size}`;
    if (appearance === before) return undefined;
    if (!found.isFile()) return refused(appearance, "is no file; put the kubeconfig itself there");
    if (found.size > KUBECONFIG_CHARS_MAX)
      return refused(appearance, `is larger than ${KUBECONFIG_CHARS_MAX >> 10} KiB; keep only this cluster in it`);
    return { appearance, said: { text: await readFile(path, "utf8") } };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "gone";
    return refused(messageOf(error), `cannot be read: ${messageOf(error)}`);
  }
}
