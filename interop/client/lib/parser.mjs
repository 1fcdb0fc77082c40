import { where } from "./where.mjs";

/** Says that a scenario holds as well with another parser on both sides, in the modes in which it holds anyway. */
export function speaking(profile, parser) {
  return (run) => {
    const again = async (t) => {
      t.options = { parser: (await import(parser)).default };
      return run(t);
    };
    return where({ profile, modes: run.modes }, again);
  };
}
