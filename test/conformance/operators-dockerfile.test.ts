import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { Buildah, type ImageConfig } from "./buildah.ts";
import { eventually } from "./causeway-process.ts";
import { Contained } from "./contained.ts";
import { localBases } from "./local-bases.ts";
import { skipWithout } from "./machine.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..", "..");
/** Packages are installed, and all is compiled: 80 s of CPU. */
const BUILD_MS = 20 * 60_000;
const IMAGE = "localhost/causeway:0.1.0";
const UID = 1337;
/** terminationGracePeriodSeconds of the chart, less its preStop hook. */
const GRACE_MS = 25_000;
const STATE = "/var/lib/causeway";

suite("The image that deploy/Dockerfile makes", () => {
  let folder: string;
  let buildah: Buildah;
  let bases: Readonly<Record<"build" | "base", string>>;
  let config: ImageConfig;
  let files: string;
  /** What the build said. */
  let log: string;

  before(async function () {
    this.timeout(BUILD_MS + 300_000);
    skipWithout(this, "dockerfile", await Buildah.missing());
    folder = mkdtempSync(join(tmpdir(), "causeway-dockerfile-"));
    buildah = new Buildah(join(folder, "buildah"));
    const local = localBases(join(folder, "bases"));
    bases = { build: await buildah.commit(local.build), base: await buildah.commit(local.base) };
  });
  after(async () => {
    await buildah?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** `docker build -f deploy/Dockerfile .`, of which buildah has to be told the ignored files. */
  async function build(ofBuild: string, ofBase: string): Promise<string> {
    const cache = (await run("npm", ["config", "get", "cache"], { cwd: root })).stdout.trim();
    const file = (name: string): string => join(root, "deploy", name);
    const flags = ["--file", file("Dockerfile"), "--ignorefile", file("Dockerfile.dockerignore"), "--tag", IMAGE];
    const named = ["--build-arg", `BUILD_IMAGE=${ofBuild}`, "--build-arg", `BASE_IMAGE=${ofBase}`];
    // What npm has fetched here it need not fetch again.
    return buildah.build(root, BUILD_MS, ...flags, ...named, "--volume", `${cache}:/root/.npm`);
  }

  test("a base that is named by a tag ends the build, with what to give instead", async function () {
    this.timeout(120_000);
    const tagged = "localhost/distroless/nodejs24-debian12:latest";
    const refused = await build(bases.build, tagged).then(
      () => "it was built",
      ({ stdout, stderr }: { stdout: string; stderr: string }) => `${stdout}${stderr}`,
    );
    assert.match(refused, /BUILD_IMAGE and BASE_IMAGE must each end in @sha256: and a digest; see deploy\/Dockerfile/);
  });

  test("it is built of deploy/Dockerfile as it stands: the tree is the one that is laid out here", async function () {
    this.timeout(BUILD_MS);
    log = await build(bases.build, bases.base);
    config = await buildah.configOf(IMAGE);
    files = await buildah.filesOf(IMAGE);
    const digestIn = (text: string): string | undefined => /"digest":"([0-9a-f]{64})"/.exec(text)?.[1];
    const { stdout } = await run(process.execPath, [join(root, "scripts", "image-tree.mjs"), join(folder, "tree")]);
    assert.equal(digestIn(log), digestIn(stdout));
    const list = (path: string): readonly string[] => readdirSync(path, { recursive: true, encoding: "utf8" });
    const known = new Set([...list(join(folder, "tree")), ...list(join(folder, "bases", "base"))]);
    assert.deepEqual(
      list(files).filter((path) => !known.has(path)),
      [],
    );
  });

  test("it says how it is started: as 1337, by the program itself", () => {
    assert.deepEqual([config.User, config.WorkingDir], ["1337:1337", "/"]);
    assert.deepEqual(config.Entrypoint, ["/nodejs/bin/node", "--enable-source-maps", "/app/dist/src/main.js"]);
    assert.deepEqual(config.Cmd, ["discovery"]);
    assert.deepEqual(Object.keys(config.ExposedPorts).sort(), ["15012/tcp", "15014/tcp", "8080/tcp"]);
    assert.ok(config.Env.includes("NODE_ENV=production"));
  });

  test("both words of its PATH start, without a shell", async function () {
    this.timeout(60_000);
    for (const word of ["causeway", "pilot-discovery"]) {
      const called = new Contained(files, { ...config, Entrypoint: [`/usr/local/bin/${word}`] }, ["version"]);
      assert.equal(await called.ended, 0, called.log);
      assert.match(called.log, /^client +0\.1\.0$/m);
    }
  });

  test("by itself, where there is no cluster, it ends with what to give it", async function () {
    this.timeout(60_000);
    const started = new Contained(files, config, undefined);
    assert.equal(await started.ended, 2, started.log);
    assert.match(started.log, /^causeway: there is no cluster to read: we run in no pod, .* give --kubeconfig/m);
  });

  test("as the chart calls it, nothing but its state writable, it becomes ready and ends on SIGTERM as process 1", async function () {
    this.timeout(120_000);
    const state = join(folder, "state");
    mkdirSync(state);
    chownSync(state, UID, UID);
    const ports = ["--xds-port=0", "--admin-port=0", "--health-port=0", "--listen=127.0.0.1"];
    const flags = [
      "discovery",
      `--state=${STATE}`,
      "--log_output_level=default:info",
      ...ports,
      "--manifests=/examples",
    ];
    const mounts = { read: { "/examples": join(root, "examples", "shop") }, written: { [STATE]: state } };
    const started = new Contained(files, config, flags, mounts);
    try {
      await eventually("it is ready", 60_000, () => started.log.includes("causeway is ready"));
      const { pid } = started;
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      for (const line of ["Uid:\t1337\t1337\t1337\t1337", "Gid:\t1337\t1337\t1337\t1337", "CapEff:\t0000000000000000"])
        assert.ok(status.includes(`${line}\n`), status);
      assert.match(status, /^NSpid:\t\d+\t1$/m);
      const { health } = JSON.parse(readFileSync(join(state, "connection.json"), "utf8")) as { health: string };
      assert.equal((await fetch(`${health}/ready`)).status, 200);
      const toldAt = performance.now();
      process.kill(pid, "SIGTERM");
      assert.equal(await started.ended, 0, started.log);
      assert.ok(performance.now() - toldAt < GRACE_MS);
      assert.doesNotMatch(started.log, /EROFS|EACCES|EPERM/);
    } finally {
      started.kill();
    }
  });
});
