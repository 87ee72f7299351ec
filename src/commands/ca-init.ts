import { X509Certificate } from "node:crypto";
import { writeNewFiles } from "../ca/folder-files.ts";
import { KEY_TYPES } from "../ca/key-type.ts";
import type { Maker } from "../ca/intermediate.ts";
import { newRoot } from "../ca/new-authority.ts";
import { ROOT_LAYOUT } from "../ca/root-folder.ts";
import { type Command, textOption } from "../command.ts";
import { describeAuthority } from "./ca-description.ts";
import {
  KEY_TYPE_FLAG,
  keyTypeOption,
  lifetimeOption,
  requiredOption,
  trustDomainFlag,
  trustDomainOption,
} from "./ca-flags.ts";

/** `causeway ca init`: a root, to be kept where no cluster is. */
export const caInitCommand = (maker: Maker): Command => ({
  name: "init",
  summary: "make a root certificate and its key in a new folder",
  flags: [
    { flags: "--dir <dir>", description: "the folder to make" },
    trustDomainFlag("cluster.local"),
    { flags: "--name <name>", description: "its common name; one that tells roots apart by default" },
    KEY_TYPE_FLAG,
    { flags: "--lifetime <duration>", description: "1d to 30y; 10y by default" },
  ],
  async run(call) {
    const { options, printer } = call;
    const folder = requiredOption(call, "dir", "where to make the root");
    const shape = {
      trustDomain: trustDomainOption(options) ?? "cluster.local",
      keyType: keyTypeOption(options) ?? KEY_TYPES[0],
      lifetimeMs: lifetimeOption(options, { usual: "10y", min: "1d", max: "30y" }),
    };
    const files = await newRoot(maker, shape, textOption(options, "name"));
    await writeNewFiles(folder, files);
    printer.out(describeAuthority(folder, [...files.keys()], new X509Certificate(files.get(ROOT_LAYOUT.certificate)!)));
    printer.err(`keep ${folder}/${ROOT_LAYOUT.key} offline: whoever has it can be anybody in the mesh\n`);
    return 0;
  },
});
