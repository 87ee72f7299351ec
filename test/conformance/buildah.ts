import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { debianPackage } from "./debian-package.ts";
import { endWithUs } from "./causeway-process.ts";
import type { Missing } from "./machine.ts";

const run = promisify(execFile);
const PROGRAM = "/usr/bin/buildah";
const CALL_MS = 60_000;

/** What an image says of how it is started. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly ExposedPorts: Readonly<Record<string, object>>;
}

/** How an image of ours is made without a Dockerfile. */
export interface BaseImage {
  readonly name: string;
  readonly root: string;
  /** As flags of `buildah config`. */
  readonly config: readonly string[];
}

/** Debian's buildah, which builds without a daemon: its images and containers are in a folder of their own. */
export class Buildah {
  readonly #env: NodeJS.ProcessEnv;

  /** @param folder on a disk with room for several images; whoever made it removes it. */
  constructor(folder: string) {
    mkdirSync(join(folder, "tmp"), { recursive: true });
    const storage = join(folder, "storage.conf");
    const [graph, running] = [join(folder, "graph"), join(folder, "run")];
    writeFileSync(storage, `[storage]\ndriver = "vfs"\ngraphroot = "${graph}"\nrunroot = "${running}"\n`);
    this.#env = {
      ...{ PATH: process.env["PATH"], HOME: folder, TMPDIR: join(folder, "tmp"), CONTAINERS_STORAGE_CONF: storage },
      BUILDAH_ISOLATION: "chroot",
    };
  }

  /** Installs it if we may; it mounts, and changes root, so only root can use it like this. */
  static async missing(): Promise<true | Missing> {
    if (process.getuid?.() !== 0) return { missing: "buildah: run as root on Debian" };
    const found = await debianPackage(PROGRAM, "buildah");
    if (found !== true) return found;
    const probe = run("unshare", ["--mount", "--pid", "--fork", "sh", "-c", "mount --make-rprivate /"]);
    return probe.then(
      (): true => true,
      () => ({ missing: "buildah: namespaces for mounts and processes may not be made here" }),
    );
  }

  /** Makes an image of a folder. @returns its name and digest, as `localhost/node@sha256:…`. */
  async commit({ name, root, config }: BaseImage): Promise<string> {
    const container = (await this.#run("from", "scratch")).trim();
    await this.#run("add", container, root, "/");
    await this.#run("config", ...config, container);
    await this.#run("commit", "--quiet", "--rm", container, name);
    const digest = (await this.#run("images", "--format", "{{.Digest}}", name)).trim();
    return `${name.replace(/:[^/]*$/, "")}@${digest}`;
  }

  /** `buildah build`, of images that are here. @returns all that it said. @throws with that, as `stdout` and `stderr`. */
  async build(context: string, limitMs: number, ...flags: readonly string[]): Promise<string> {
    const options = { env: this.#env, timeout: limitMs, maxBuffer: 1 << 26 };
    const building = run(PROGRAM, ["build", "--pull-never", ...flags, context], options);
    endWithUs(building.child);
    const { stdout, stderr } = await building;
    return `${stdout}${stderr}`;
  }

  async configOf(image: string): Promise<ImageConfig> {
    const text = await this.#run("inspect", "--type", "image", image);
    return (JSON.parse(text) as { OCIv1: { config: ImageConfig } }).OCIv1.config;
  }

  /** Path of the files of an image, of a copy that may be written to. */
  async filesOf(image: string): Promise<string> {
    const container = (await this.#run("from", "--pull-never", image)).trim();
    return (await this.#run("mount", container)).trim();
  }

  async close(): Promise<void> {
    await this.#run("umount", "--all").catch(() => {});
  }

  async #run(...words: readonly string[]): Promise<string> {
    return (await run(PROGRAM, [...words], { env: this.#env, timeout: CALL_MS, maxBuffer: 1 << 26 })).stdout;
  }
}
