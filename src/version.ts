import { readFileSync } from "node:fs";

interface PackageFile {
  readonly version: string;
}

/** As package.json says, which lies two folders above the compiled file. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as PackageFile
).version;
