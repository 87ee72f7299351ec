import { X509Certificate } from "node:crypto";
import { ISTIO } from "../ca/cacerts.ts";
import { requireNewFiles, writeNewFiles } from "../ca/folder-files.ts";
import { noteIssued } from "../ca/issued-list.ts";
import { KEY_TYPES } from "../ca/key-type.ts";
import type { Maker } from "../ca/intermediate.ts";
import { DAY_MS, intermediateName, newIntermediate, USUAL_LIFETIME_MS } from "../ca/new-authority.ts";
import { namesOf } from "../ca/authority-folder.ts";
import { readRoot, type Root } from "../ca/root-folder.ts";
import { type Command, type CommandCall, type Options, textOption, UsageError } from "../command.ts";
import { isClusterId } from "../names.ts";
import { describeAuthority } from "./ca-description.ts";
import {
  KEY_TYPE_FLAG,
  keyTypeOption,
  lifetimeOption,
  requiredOption,
  trustDomainFlag,
  trustDomainOption,
} from "./ca-flags.ts";

const USUAL_DAYS = USUAL_LIFETIME_MS / DAY_MS;

/** `causeway ca issue`: the authority of one cluster, in the files that istiod and Causeway mount. */
export const caIssueCommand = (maker: Maker): Command => ({
  name: "issue",
  summary: "issue the authority of a cluster, in a new folder with the four files of the Secret cacerts",
  flags: [
    { flags: "--root <dir>", description: "the folder of the root, as made by ca init" },
    { flags: "--cluster <name>", description: "whose authority it is" },
    { flags: "--dir <dir>", description: "the folder to make" },
    trustDomainFlag("the root's"),
    KEY_TYPE_FLAG,
    { flags: "--lifetime <duration>", description: `1h to 10y, and the root's at most; ${USUAL_DAYS}d by default` },
    { flags: "--path-length <count>", description: "authorities that may follow it, 0 to 5; 0 by default" },
  ],
  async run(call) {
    const { options, printer } = call;
    const rootFolder = requiredOption(call, "root", "where the root is");
    const cluster = clusterOf(call);
    const folder = requiredOption(call, "dir", "where to make the authority");
    const keyType = keyTypeOption(options) ?? KEY_TYPES[0];
    const lifetimeMs = lifetimeOption(options, { usual: `${USUAL_DAYS}d`, min: "1h", max: "10y" });
    const pathLength = pathLengthOf(options);
    const asked = trustDomainOption(options);
    const root = await readRoot(rootFolder, maker.clock.now());
    const trustDomain = asked ?? root.trustDomain ?? "cluster.local";
    await requireNewFiles(folder, namesOf(ISTIO));
    const subject = intermediateName(trustDomain, cluster);
    const files = await newIntermediate(maker, root, { trustDomain, keyType, lifetimeMs, subject, pathLength });
    const certificate = new X509Certificate(files.get(ISTIO.certificate)!);
    await noteIssued(rootFolder, cluster, certificate.raw);
    await writeNewFiles(folder, files);
    printer.out(describeAuthority(folder, [...files.keys()], certificate));
    for (const note of notesOn(root, trustDomain, lifetimeMs, maker.clock.now())) printer.err(`${note}\n`);
    return 0;
  },
});

function clusterOf(call: CommandCall): string {
  const cluster = requiredOption(call, "cluster", "which cluster it is for");
  if (isClusterId(cluster)) return cluster;
  throw new UsageError(`--cluster is "${cluster}": use letters, digits, '.', '-' and '_'`);
}

function pathLengthOf(options: Options): number {
  const text = textOption(options, "pathLength") ?? "0";
  if (/^[0-5]$/.test(text)) return Number(text);
  throw new UsageError(`--path-length is "${text}": give 0, or up to 5 if authorities are to follow, as SPIRE's`);
}

function notesOn(root: Root, trustDomain: string, lifetimeMs: number, now: number): readonly string[] {
  const notes: string[] = [];
  if (now + lifetimeMs > root.notAfter) notes.push("it ends with its root, earlier than asked");
  if (lifetimeMs > USUAL_LIFETIME_MS)
    notes.push(
      `it lives for more than ${USUAL_DAYS} days: whoever copies its key has it as long; renewing needs no restart`,
    );
  if (root.trustDomain !== undefined && root.trustDomain !== trustDomain)
    notes.push(
      `the root is of trust domain ${root.trustDomain}: peers that pool their roots take either's authorities for both`,
    );
  return notes;
}
