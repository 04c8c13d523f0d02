#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "support/child_process.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/temp_dir.h"

// Sinks, and streams that are spooled into a file.

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe(ends_), 0); }
  ~Pipe() {
    close(ends_[0]);
    CloseWriter();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void CloseWriter() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }
  void MakeNonBlocking() {
    EXPECT_EQ(fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
    EXPECT_EQ(fcntl(ends_[1], F_SETFL, O_NONBLOCK), 0);
  }

 private:
  int ends_[2] = {-1, -1};
};

std::vector<std::byte> ReadAll(const ByteSource& source) {
  std::vector<std::byte> bytes(static_cast<size_t>(source.size()));
  EXPECT_THAT(source.ReadAt(0, bytes), IsOk());
  return bytes;
}

/// Sends what it is given through `pipe` while the main thread spools the other end.
std::vector<std::byte> SpoolThrough(Pipe& pipe, const std::vector<std::byte>& content) {
  Status written;
  std::thread writer([&] {
    DescriptorSink sink(pipe.writer(), "pipe");
    written = sink.Append(content);
    pipe.CloseWriter();
  });
  test::TempDir dir;
  Result<std::unique_ptr<ByteSource>> spooled = SpoolDescriptor(pipe.reader(), dir.path());
  writer.join();
  EXPECT_THAT(written, IsOk());
  EXPECT_TRUE(dir.Names().empty());
  EXPECT_THAT(spooled, IsOk());
  return spooled.ok() ? ReadAll(*spooled.value()) : std::vector<std::byte>{};
}

TEST(MemorySink, CollectsWhatIsAppended) {
  MemorySink sink;
  EXPECT_THAT(sink.Append(AsBytes("ab")), IsOk());
  EXPECT_THAT(sink.Append({}), IsOk());
  EXPECT_THAT(sink.Append(AsBytes("c")), IsOk());
  EXPECT_EQ(AsText(sink.bytes()), "abc");
}

TEST(DescriptorSink, ReportsAFullDeviceByName) {
  int full = open("/dev/full", O_WRONLY);
  if (full < 0) GTEST_SKIP() << "no /dev/full here";
  DescriptorSink sink(full, "standard output");
  Status status = sink.Append(AsBytes("abc"));
  ASSERT_THAT(status, FailsWith(ErrorCode::kIo));
  EXPECT_NE(status.error().message.find("standard output"), std::string::npos);
  EXPECT_NE(status.error().message.find("No space left"), std::string::npos);
  close(full);
}

TEST(DescriptorSink, ReportsAReaderThatWentAway) {
  void (*old_handler)(int) = std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  DescriptorSink sink(ends[1], "pipe");
  EXPECT_THAT(sink.Append(AsBytes("abc")), FailsWith(ErrorCode::kIo));
  close(ends[1]);
  std::signal(SIGPIPE, old_handler);
}

TEST(DescriptorSink, DoesNotCloseTheDescriptor) {
  Pipe pipe;
  {
    EXPECT_THAT(DescriptorSink(pipe.writer(), "pipe").Append(AsBytes("a")), IsOk());
  }
  EXPECT_EQ(write(pipe.writer(), "b", 1), 1);
}

TEST(SpoolDescriptor, KeepsEverythingAPipeDelivers) {
  test::Random random(1);
  for (size_t size : {size_t{0}, size_t{1}, size_t{1} << 20, (size_t{5} << 20) + 3}) {
    Pipe pipe;
    std::vector<std::byte> content = random.Bytes(size);
    EXPECT_EQ(SpoolThrough(pipe, content), content) << size;
  }
}

TEST(SpoolDescriptor, WaitsOnNonBlockingPipes) {
  test::Random random(2);
  std::vector<std::byte> content = random.Bytes(3 << 20);
  Pipe pipe;
  pipe.MakeNonBlocking();
  EXPECT_EQ(SpoolThrough(pipe, content), content);
}

void DoNothing(int) {}

TEST(SpoolDescriptor, GoesOnAfterInterruptions) {
  struct sigaction action{};
  struct sigaction old_action;
  action.sa_handler = DoNothing;  // without SA_RESTART: system calls return EINTR
  ASSERT_EQ(sigaction(SIGUSR1, &action, &old_action), 0);
  test::Random random(3);
  std::vector<std::byte> content = random.Bytes(2 << 20);
  Pipe pipe;
  pthread_t reader = pthread_self();
  std::atomic<bool> stop = false;
  std::thread disturber([&] {
    while (!stop) {
      pthread_kill(reader, SIGUSR1);
      std::this_thread::yield();
    }
  });
  std::vector<std::byte> spooled = SpoolThrough(pipe, content);
  stop = true;
  disturber.join();
  sigaction(SIGUSR1, &old_action, nullptr);
  EXPECT_EQ(spooled, content);
}

TEST(SpoolDescriptor, RejectsReadsPastTheEnd) {
  Pipe pipe;
  ASSERT_EQ(write(pipe.writer(), "abc", 3), 3);
  pipe.CloseWriter();
  test::TempDir dir;
  Result<std::unique_ptr<ByteSource>> spooled = SpoolDescriptor(pipe.reader(), dir.path());
  ASSERT_THAT(spooled, IsOk());
  std::byte target[4];
  EXPECT_THAT(spooled.value()->ReadAt(0, target), FailsWith(ErrorCode::kTruncated));
}

TEST(SpoolDescriptor, UsesTmpdirWhereNoDirectoryIsGiven) {
  test::TempDir dir;
  Pipe pipe;
  pipe.CloseWriter();
  std::string missing = dir.File("missing");
  const char* old_value = std::getenv("TMPDIR");
  std::string saved = old_value == nullptr ? "" : old_value;
  setenv("TMPDIR", missing.c_str(), 1);
  Result<std::unique_ptr<ByteSource>> spooled = SpoolDescriptor(pipe.reader(), "");
  if (old_value == nullptr) {
    unsetenv("TMPDIR");
  } else {
    setenv("TMPDIR", saved.c_str(), 1);
  }
  ASSERT_THAT(spooled, FailsWith(ErrorCode::kIo));
  EXPECT_NE(spooled.error().message.find(missing), std::string::npos);
  EXPECT_THAT(SpoolDescriptor(pipe.reader(), ""), IsOk());
}

TEST(SpoolDescriptor, ReportsAFullDiskAndLeavesNothing) {
  test::TempDir dir;
  Pipe pipe;
  std::vector<std::byte> content(50'000);
  ASSERT_EQ(write(pipe.writer(), content.data(), content.size()), 50'000);
  pipe.CloseWriter();
  test::FileSizeLimit limit(10'000);
  EXPECT_THAT(SpoolDescriptor(pipe.reader(), dir.path()), FailsWith(ErrorCode::kIo));
  EXPECT_TRUE(dir.Names().empty());
}

TEST(SpoolDescriptor, ReportsInputThatCannotBeRead) {
  test::TempDir dir;
  int directory = open(dir.path().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_GE(directory, 0);
  EXPECT_THAT(SpoolDescriptor(directory, dir.path()), FailsWith(ErrorCode::kIo));
  close(directory);
  EXPECT_THAT(SpoolDescriptor(-1, dir.path()), FailsWith(ErrorCode::kIo));
  EXPECT_TRUE(dir.Names().empty());
}

}  // namespace
}  // namespace flyweight
