import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageConfig } from "./buildah.ts";
import { endWithUs } from "./causeway-process.ts";

/** Where files of this machine stand in the container; those of `written` alone may be written. */
export interface Mounts {
  readonly read?: Readonly<Record<string, string>>;
  readonly written?: Readonly<Record<string, string>>;
}

/**
 * What an image starts, as a container runtime does it: process 1 of its own, the image for its root, the user, variables and
 * folder that the image says, and nothing of it writable but mounts.
 */
export class Contained {
  readonly #process: ChildProcess;
  readonly ended: Promise<number | null>;
  #log = "";

  /** @param words in place of the image's CMD; with `entrypoint`, in place of both. */
  constructor(root: string, config: ImageConfig, words: readonly string[] | undefined, mounts: Mounts = {}) {
    const { read = {}, written = {} } = mounts;
    const devices = ["null", "urandom"].map((name) => `/dev/${name}`);
    for (const path of [...Object.keys(read), ...Object.keys(written)])
      mkdirSync(join(root, path), { recursive: true });
    for (const path of devices) writeFileSync(join(root, path), "");
    const bound = (path: string, from: string): string => `mount --bind ${from} ${join(root, path)}`;
    const script = [
      "mount --make-rprivate /",
      bound("/", root),
      ...Object.entries(written).map(([path, from]) => bound(path, from)),
      ...Object.entries(read).flatMap(([path, from]) => [bound(path, from), readOnly(join(root, path))]),
      ...devices.map((path) => bound(path, path)),
      `mount -t proc proc ${join(root, "proc")}`,
      readOnly(root),
      // Not even root could.
      `! touch ${join(root, "app", "probe")} ${join(root, "probe")} 2>/dev/null`,
      // `chroot` begins in the root of what it is given.
      `exec env -i ${config.Env.join(" ")} chroot --userspec=${config.User} --groups= ${root} "$@"`,
    ].join(" && ");
    const command = [...config.Entrypoint, ...(words ?? config.Cmd)];
    const flags = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"];
    this.#process = spawn("unshare", [...flags, ...command], { stdio: ["ignore", "pipe", "pipe"] });
    endWithUs(this.#process);
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on("data", (bytes: Buffer) => (this.#log += bytes.toString()));
    this.ended = new Promise((resolve) => this.#process.once("close", resolve));
  }

  /** All that it has said. */
  get log(): string {
    return this.#log;
  }

  /** Of its process 1, as this machine counts; it has begun. */
  get pid(): number {
    const { pid } = this.#process;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

const readOnly = (path: string): string => `mount -o remount,bind,ro ${path}`;
