import Glibc

/// The permissions of a file; all of them where it is not there.
func mode(of path: String) -> UInt32 {
  var status = stat()
  return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0o7777
}
