import { cpSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../src/config.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { DeltaClient } from "../src/xds/delta-client.ts";
import { dialXds } from "../src/xds/dial.ts";
import { ADDRESS_TYPE } from "../src/xds/resource.ts";
import { quietHost } from "./quiet-host.ts";
import { type Bench, cost, middle, type Report } from "./bench.ts";

const ROUNDS = 15;
const examples = join(import.meta.dirname, "..", "..", "examples", "shop");

/** From the save of a manifest to the client that hears of it, against the file system's own word of the save. */
async function run(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "causeway-bench-"));
  const manifests = join(folder, "manifests");
  cpSync(examples, manifests, { recursive: true });
  try {
    report(cost("edit.save-to-client", middle(await throughUs(folder, manifests)), "ms", middle(await bare(folder))));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function throughUs(folder: string, manifests: string): Promise<number[]> {
  const flags = { manifests: [manifests], state: join(folder, "state"), xdsPort: "0" };
  const plane = await ControlPlane.open(quietHost(), {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: true,
    debugPage: () => Promise.resolve(new Uint8Array()),
  });
  await plane.start(new AbortController().signal);
  const token = await plane.tokens.get(plane.localCluster)!.issue({
    namespace: "istio-system",
    serviceAccount: "ztunnel",
    pod: undefined,
  });
  const node = {
    id: "agent~127.0.0.1~bench.istio-system~istio-system.svc.cluster.local",
    metadata: new Map([["NAMESPACE", "istio-system"]]),
  };
  const path = join(manifests, "bookshop", "ratings.yaml");
  const text = readFileSync(path, "utf8");
  const done = new AbortController();
  const found: number[] = [];
  let savedAt = 0;
  const edit = (): void => {
    if (found.length === ROUNDS) done.abort();
    const edited = text.replace("port: 7000", `port: ${7001 + found.length}`);
    savedAt = performance.now();
    writeFileSync(path, edited);
  };
  await dialXds({
    target: {
      address: `127.0.0.1:${plane.ports.xds}`,
      roots: readFileSync(plane.rootCertificateFile, "utf8"),
      token,
      clusterId: plane.localCluster,
    },
    client: new DeltaClient(node, [ADDRESS_TYPE]),
    signal: done.signal,
    onUpdate: () => {
      if (savedAt > 0) found.push(performance.now() - savedAt);
      // Not at once: an editor would be slower, and the answer must be on its way.
      setTimeout(edit, 150);
    },
  });
  await plane.close();
  return found;
}

async function bare(folder: string): Promise<number[]> {
  const path = join(folder, "plain.yaml");
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const watcher = watch(folder);
    const start = performance.now();
    await new Promise<void>((resolve) => {
      watcher.once("change", () => resolve());
      writeFileSync(path, `${round}`);
    });
    found.push(performance.now() - start);
    watcher.close();
  }
  return found;
}

export const bench: Bench = { name: "edit", run };
