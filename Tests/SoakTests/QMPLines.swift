import Foundation
import Posix
import Synchronization

@testable import ProgramSupport

/// A Unix socket that listens, with a thread for each connection; closed with its last reference.
final class QMPListener: Sendable {
  let path: String
  private let listener: Int32
  private let isStopped = Mutex(false)

  /// - Parameter talk: Has the connection until it returns.
  init(_ path: String, _ talk: @escaping @Sendable (Int32) -> Void) throws {
    self.path = path
    unlink(path)
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    self.listener = listener
    guard let address = UnixAddress(path), address.bind(listener) == 0, listen(listener, 16) == 0 else {
      throw Missed(description: "listening at \(path): \(String(cString: strerror(errno)))")
    }
    Thread {
      while case let peer = accept(listener, nil, nil), peer >= 0 {
        Thread {
          talk(peer)
          close(peer)
        }.start()
      }
    }.start()
  }

  deinit { stop() }

  func stop() {
    let isFirst = isStopped.withLock { stopped in
      defer { stopped = true }
      return !stopped
    }
    guard isFirst else { return }
    unlink(path)
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }
}

/// Hands over what comes over a socket line by line, without their ends, until it is closed or nobody wants more.
func forEachLine(of peer: Int32, _ body: ([UInt8]) -> Bool) {
  var rest: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 16384)
  while case let count = recv(peer, &buffer, buffer.count, 0), count > 0 {
    rest += buffer[..<count]
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      guard body(Array(rest[..<end])) else { return }
      rest.removeFirst(end + 1)
    }
  }
}

@discardableResult
func sendAll(_ bytes: [UInt8], to peer: Int32) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    guard count > 0 else { return false }
    rest = rest.dropFirst(count)
  }
  return true
}

/// Stands between drover and the monitor of a real QEMU, and writes down each wish to end a migration.
final class QMPRelay: Sendable {
  private let listener: QMPListener
  private let noted: Noted

  private final class Noted: Sendable {
    let cancels = Mutex<[Int64]>([])
    let hook = Mutex<(@Sendable (FakeQEMU.Stage) -> Void)?>(nil)
  }

  var path: String { listener.path }

  /// When each `migrate_cancel` came by, in milliseconds since 1970.
  var cancels: [Int64] { noted.cancels.withLock(\.self) }

  /// What is done as soon as one comes by, before QEMU has it, and once it was handed on.
  func onCancel(_ body: (@Sendable (FakeQEMU.Stage) -> Void)?) { noted.hook.withLock { $0 = body } }

  init(_ path: String, to target: String) throws {
    let noted = Noted()
    self.noted = noted
    listener = try QMPListener(path) { near in
      let far = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      defer { close(far) }
      guard let address = UnixAddress(target), address.connect(far) == 0 else { return }
      let isBack = DispatchSemaphore(value: 0)
      Thread {
        var buffer = [UInt8](repeating: 0, count: 16384)
        while case let count = recv(far, &buffer, buffer.count, 0), count > 0 {
          guard sendAll(Array(buffer[..<count]), to: near) else { break }
        }
        shutdown(near, Int32(SHUT_RDWR))
        isBack.signal()
      }.start()
      forEachLine(of: near) { line in
        let isCancel = String(decoding: line, as: UTF8.self).contains(#""execute":"migrate_cancel""#)
        if isCancel {
          noted.cancels.withLock { $0.append(unixNow()) }
          noted.hook.withLock(\.self)?(.arrived)
        }
        let isSent = sendAll(line + [UInt8(ascii: "\n")], to: far)
        if isCancel { noted.hook.withLock(\.self)?(.answered) }
        return isSent
      }
      shutdown(far, Int32(SHUT_RDWR))
      isBack.wait()
    }
  }

  func stop() { listener.stop() }
}
