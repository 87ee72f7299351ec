// Writes docs/reference.md from the commands as they are built.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { calledCommands } from "../dist/src/commands/called.js";
import { referencePage } from "../dist/src/commands/reference.js";

const page = join(import.meta.dirname, "..", "docs", "reference.md");
writeFileSync(page, referencePage(await calledCommands([], process.pid)));
