/**
 * Says where a scenario holds: the server profile it needs, the modes in which it makes sense, and whether it
 * spends the server, so that it must have one for itself. It imports nothing: scenarios can be listed without
 * their dependencies being installed.
 */
export function where({ profile, modes, fresh }, run) {
  return Object.assign(run, { profile, modes, fresh });
}
