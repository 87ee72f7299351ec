import { mkdir, rm } from "node:fs/promises";
import { writeNewFiles } from "../ca/folder-files.ts";
import { KEY_TYPES } from "../ca/key-type.ts";
import type { Maker } from "../ca/intermediate.ts";
import { intermediateName, newIntermediate, newRoot, USUAL_LIFETIME_MS } from "../ca/new-authority.ts";
import { readRoot, type Root } from "../ca/root-folder.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";

const ROOT_LIFETIME_MS = 3_650 * 86_400_000;

/**
 * Gives every cluster an authority of its own under one root, as `causeway ca init` and `causeway ca issue` do. The root
 * in `rootDir` stays; authorities are new with each start, so that none of them ever ends.
 */
export async function issueAuthorities(
  maker: Maker,
  rootDir: string,
  clusters: readonly { readonly cluster: string; readonly config: Config }[],
): Promise<void> {
  const root = await rootIn(maker, rootDir, clusters[0]!.config.trustDomain);
  for (const { cluster, config } of clusters) {
    const { trustDomain, cacertsDir, stateDir } = config;
    const subject = intermediateName(trustDomain, cluster);
    const shape = { trustDomain, keyType: KEY_TYPES[0], lifetimeMs: USUAL_LIFETIME_MS, subject, pathLength: 0 };
    const files = await newIntermediate(maker, root, shape);
    await mkdir(stateDir, { recursive: true });
    await rm(cacertsDir!, { recursive: true, force: true });
    await writeNewFiles(cacertsDir!, files);
  }
}

async function rootIn(maker: Maker, rootDir: string, trustDomain: string): Promise<Root> {
  try {
    return await readRoot(rootDir, maker.clock.now());
  } catch (thrown) {
    if (MeshError.from(thrown).code !== "absent") throw thrown;
  }
  const shape = { trustDomain, keyType: KEY_TYPES[0], lifetimeMs: ROOT_LIFETIME_MS };
  await writeNewFiles(rootDir, await newRoot(maker, shape, "Causeway demo root"));
  return readRoot(rootDir, maker.clock.now());
}
