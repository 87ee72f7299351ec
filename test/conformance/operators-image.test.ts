import assert from "node:assert/strict";
import { execFile, type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createGzip, constants } from "node:zlib";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { endWithUs, eventually } from "./causeway-process.ts";
import { type Missing, skipWithout } from "./machine.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..", "..");
const MIB = 2 ** 20;
/** Of the whole image, as it is pulled: layers are compressed. */
const IMAGE_MIB_MAX = 130;
const TREE_MIB_MAX = 60;
const UID = 1337;
/** terminationGracePeriodSeconds of the chart, less its preStop hook. */
const GRACE_MS = 25_000;

interface Laid {
  readonly bytes: number;
  readonly files: number;
  readonly digest: string;
}

suite("The image's file tree", () => {
  let folder: string;
  let tree: string;
  let laid: Laid;
  before(async function () {
    this.timeout(120_000);
    folder = mkdtempSync(join(tmpdir(), "causeway-image-"));
    // Others must reach what is in it.
    chmodSync(folder, 0o755);
    tree = join(folder, "tree");
    laid = await layOut(tree);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("it is the same whenever it is made, by whoever, and the whole image stays below its bound", async function () {
    this.timeout(120_000);
    const again = join(folder, "again");
    // Of a machine where nobody else may read what one writes.
    assert.equal((await layOut(again, "077")).digest, laid.digest);
    const modes = readdirSync(again, { recursive: true, encoding: "utf8" }).map((path) => modeOf(join(again, path)));
    assert.deepEqual([...new Set(modes)].toSorted(), ["directory 755", "file 644", "file 755"]);
    rmSync(again, { recursive: true });
    await run("tar", ["-czf", join(folder, "tree.tgz"), "-C", tree, "."]);
    const [treeBytes, nodeBytes] = [statSync(join(folder, "tree.tgz")).size, await compressed(process.execPath)];
    const [mib, node] = [(laid.bytes / MIB).toFixed(0), (nodeBytes / MIB).toFixed(0)];
    console.log(
      `      ${mib} MiB in ${laid.files} files; pulled ${(treeBytes / MIB).toFixed(0)} MiB, and Node.js ${node} MiB`,
    );
    assert.ok(laid.bytes < TREE_MIB_MAX * MIB, `${laid.bytes} bytes`);
    assert.ok(treeBytes + nodeBytes < IMAGE_MIB_MAX * MIB, `${treeBytes} and ${nodeBytes} bytes`);
  });

  test("it holds what production needs and nothing else, and the bill of materials names each package", () => {
    const packages = readdirSync(join(tree, "app"), { recursive: true, encoding: "utf8" })
      .filter((path) => /(^|\/)node_modules\/(@[^/]+\/)?[^/@.][^/]*\/package\.json$/.test(path))
      .map((path) => path.replace("/package.json", ""));
    const { components } = JSON.parse(readFileSync(join(tree, "app", "sbom.cdx.json"), "utf8")) as {
      components: readonly { name: string; version: string; purl: string; hashes?: unknown; "bom-ref": string }[];
    };
    const named = components.map((component) => component["bom-ref"].split("#")[1]);
    assert.deepEqual(named.toSorted(), packages.toSorted());
    for (const { name, version, purl, hashes } of components)
      assert.ok(purl.endsWith(`@${version}`) && hashes !== undefined, name);
    const names = new Set(components.map(({ name }) => name));
    assert.ok(names.has("@grpc/grpc-js") && names.has("jose"));
    for (const name of ["mocha", "typescript", "prettier", "fast-check"]) assert.ok(!names.has(name), name);
    for (const part of ["test", "bench"]) assert.ok(!readdirSync(join(tree, "app", "dist")).includes(part), part);
  });

  test("both words of its PATH are files that the kernel starts by Node.js, as there is no shell", () => {
    const bin = join(tree, "usr", "local", "bin");
    assert.deepEqual(readdirSync(bin), ["causeway", "pilot-discovery"]);
    for (const word of readdirSync(bin)) {
      assert.equal(statSync(join(bin, word)).mode & 0o777, 0o755);
      assert.match(readFileSync(join(bin, word), "utf8"), /^#!\/nodejs\/bin\/node\n/);
    }
  });

  test("the Dockerfile builds on nothing that is not named by its digest", async () => {
    const text = readFileSync(join(root, "deploy", "Dockerfile"), "utf8");
    const bases = [...text.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    assert.deepEqual(bases, ["${BUILD_IMAGE}", "${BASE_IMAGE}"]);
    for (const base of ["BUILD_IMAGE", "BASE_IMAGE"]) assert.match(text, new RegExp(`^ARG ${base}$`, "m"));
    const [, guard] = /^RUN (case[^]*?esac)$/m.exec(text)!;
    const built = (BUILD_IMAGE: string, BASE_IMAGE: string) =>
      run("sh", ["-c", guard!.replaceAll("\\\n", "\n")], { env: { BUILD_IMAGE, BASE_IMAGE } }).then(
        () => "goes on",
        ({ code }: { code: number }) => code,
      );
    const digest = `@sha256:${"0a".repeat(32)}`;
    assert.equal(await built(`node${digest}`, `gcr.io/distroless/nodejs24-debian12${digest}`), "goes on");
    assert.equal(await built(`node${digest}`, "gcr.io/distroless/nodejs24-debian12:latest"), 64);
    assert.equal(await built("node:24", `gcr.io/distroless/nodejs24-debian12${digest}`), 64);
    assert.equal(await built("", ""), 64);
  });

  test("as UID 1337, where nothing can be written but its state, it becomes ready, serves, and drains on SIGTERM", async function () {
    skipWithout(this, "image", await mountNamespaces());
    this.timeout(120_000);
    const state = join(folder, "state");
    mkdirSync(state);
    chownSync(state, UID, UID);
    const started = begin(tree, state);
    try {
      await eventually("it is ready", 60_000, () => started.log().includes("causeway is ready"));
      const status = readFileSync(`/proc/${started.process.pid}/status`, "utf8");
      assert.match(status, /^Uid:\t1337\t1337\t1337\t1337$/m);
      assert.match(status, /^CapEff:\t0+$/m);
      const { health, admin, xds } = JSON.parse(readFileSync(join(state, "connection.json"), "utf8")) as Addresses;
      assert.equal((await fetch(`${health}/ready`)).status, 200);
      const mesh = (await (await fetch(`${admin}/debug/ambientz`)).json()) as { workloads: readonly unknown[] };
      assert.ok(mesh.workloads.length > 3);
      const client = connect(xds.replace(/^(\w+:\/\/)?/, "https://"), { rejectUnauthorized: false });
      client.on("error", () => {});
      await new Promise((resolve) => client.once("connect", resolve));
      // In TLS 1.3 clients are done with the handshake before the server is, which cuts off who is not through it.
      await new Promise((resolve) => client.ping(resolve));
      const away = new Promise((resolve) => client.once("goaway", resolve));
      const ended = new Promise<number | null>((resolve) => started.process.once("exit", resolve));
      const toldAt = performance.now();
      started.process.kill("SIGTERM");
      await away;
      assert.equal(await ended, 0, started.log());
      assert.ok(performance.now() - toldAt < GRACE_MS);
      // A defect of ours or of a package's that writes elsewhere is refused by the kernel, and says so.
      assert.doesNotMatch(started.log(), /EROFS|EACCES|EPERM/);
      assert.ok(readdirSync(state).length > 1);
    } finally {
      started.process.kill("SIGKILL");
    }
  });
});

interface Addresses {
  readonly health: string;
  readonly admin: string;
  readonly xds: string;
}

async function layOut(to: string, umask = "022"): Promise<Laid> {
  const words = [process.execPath, join(root, "scripts", "image-tree.mjs"), to];
  const { stdout } = await run("sh", ["-c", `umask ${umask} && exec "$@"`, "sh", ...words]);
  return JSON.parse(stdout) as Laid;
}

function modeOf(path: string): string {
  const found = statSync(path);
  return `${found.isDirectory() ? "directory" : "file"} ${(found.mode & 0o777).toString(8)}`;
}

async function compressed(path: string): Promise<number> {
  let bytes = 0;
  const packed = createReadStream(path).pipe(createGzip({ level: constants.Z_BEST_SPEED }));
  for await (const chunk of packed) bytes += (chunk as Buffer).length;
  return bytes;
}

/** In a mount namespace of its own everything is read-only, but for `state`. */
function begin(tree: string, state: string): { readonly process: ChildProcess; log(): string } {
  const script = [
    "mount --make-rprivate /",
    `mount --bind ${tree} ${tree}`,
    `mount -o remount,bind,ro ${tree}`,
    `mount --bind ${state} ${state}`,
    "mount -o remount,bind,ro /",
    // Not even root could.
    `! touch ${tree}/app/probe ${tree}/../probe 2>&1`,
    `exec setpriv --reuid ${UID} --regid ${UID} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"`,
  ].join(" && ");
  const program = [process.execPath, "--enable-source-maps", join(tree, "app", "dist", "src", "main.js")];
  // As istiod's chart calls it; a folder of manifests takes the place of a cluster.
  const flags = [
    "discovery",
    `--state=${state}`,
    "--domain=cluster.local",
    "--log_output_level=default:info",
    "--keepaliveMaxServerConnectionAge=30m",
  ];
  const ports = ["--xds-port=0", "--admin-port=0", "--health-port=0", "--listen=127.0.0.1"];
  const manifests = ["--manifests", join(root, "examples", "shop")];
  const child = spawn("unshare", ["--mount", "sh", "-c", script, "sh", ...program, ...flags, ...ports, ...manifests], {
    cwd: "/",
    env: { NODE_ENV: "production", PATH: process.env["PATH"] },
    stdio: ["ignore", "pipe", "pipe"],
  });
  endWithUs(child);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (log += bytes.toString()));
  return { process: child, log: () => log };
}

async function mountNamespaces(): Promise<true | Missing> {
  try {
    await run("unshare", ["--mount", "sh", "-c", "mount --make-rprivate / && mount -o remount,bind,ro /"]);
    await run("setpriv", ["--version"]);
    return true;
  } catch {
    return { missing: "a read-only tree: run as root on Linux with `unshare`, `mount` and `setpriv`" };
  }
}
